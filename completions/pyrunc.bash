# SPDX-License-Identifier: Apache-2.0
# Completion of pyrunc for bash: `pyrunc completion bash`.
_pyrunc_offer() { # KIND: a kind of value, or words
    case $1 in
    container) COMPREPLY=($(compgen -W "$("$program" ${root:+--root "$root"} list -q 2>/dev/null)" -- "$word")) ;;
    signal) COMPREPLY=($(compgen -W "HUP INT QUIT ILL TRAP ABRT IOT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO POLL PWR SYS UNUSED" -- "$word")) ;;
    file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    directory) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
    *) COMPREPLY=($(compgen -W "$1" -- "$word")) ;;
    esac
}
_pyrunc() {
    local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} verb="" count=0 root="" flag="" each="" index
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        each=${COMP_WORDS[index]}
        if [ -n "$flag" ]; then
            [ "$each" != = ] || continue
            [ "${flag#-}" != -root ] && [ "$flag" != -root ] || root=${each/#\~/$HOME}
            flag=""
            continue
        fi
        case $verb:$each in delete:-f | delete:-r | doctor:-f | kill:-r | spec:--rootless | spec:-rootless) continue ;; esac
        case $each in
        --root=* | -root=*) root=${each#*=} ;;
        --access | --additional-gids | --apparmor | --blkio-weight | --bundle | --cap | --cgroup | --cgroup-manager | --config | --console-socket | --cpu-burst | --cpu-idle | --cpu-period | --cpu-quota | --cpu-rt-period | --cpu-rt-runtime | --cpu-share | --cpuset-cpus | --cpuset-mems | --cwd | --diff | --empty-ns | --env | --file | --format | --id | --image-path | --interval | --kernel-memory | --kernel-memory-tcp | --l3-cache-schema | --learn | --log | --log-format | --log-level | --lsm-mount-context | --lsm-profile | --manage-cgroups-mode | --mem-bw-schema | --memory | --memory-reservation | --memory-swap | --network-lock | --page-server | --parent-path | --pid-file | --pidfd-socket | --pids-limit | --policy | --preserve-fds | --process | --process-label | --reclaim | --resources | --root | --rootless | --status-fd | --trace | --user | --work-path | -access | -additional-gids | -apparmor | -b | -blkio-weight | -bundle | -c | -cap | -cgroup | -cgroup-manager | -config | -console-socket | -cpu-burst | -cpu-idle | -cpu-period | -cpu-quota | -cpu-rt-period | -cpu-rt-runtime | -cpu-share | -cpuset-cpus | -cpuset-mems | -cwd | -diff | -e | -empty-ns | -env | -f | -file | -format | -g | -id | -image-path | -interval | -kernel-memory | -kernel-memory-tcp | -l3-cache-schema | -learn | -log | -log-format | -log-level | -lsm-mount-context | -lsm-profile | -manage-cgroups-mode | -mem-bw-schema | -memory | -memory-reservation | -memory-swap | -network-lock | -p | -page-server | -parent-path | -pid-file | -pidfd-socket | -pids-limit | -policy | -preserve-fds | -process | -process-label | -r | -reclaim | -resources | -root | -rootless | -status-fd | -trace | -u | -user | -work-path) flag=$each ;;
        -*) ;;
        *) if [ -z "$verb" ]; then verb=$each; else count=$((count + 1)); fi ;;
        esac
    done
    [ "$word" != = ] || word=""
    case $verb:$flag in
    *:) ;;
    *:--rootless | *:-rootless) _pyrunc_offer 'auto true false'; return ;;
    *:--cgroup-manager | *:-cgroup-manager) _pyrunc_offer 'cgroupfs systemd disabled'; return ;;
    *:--log-level | *:-log-level) _pyrunc_offer 'debug info warning error'; return ;;
    *:--bundle | *:--image-path | *:--learn | *:--root | *:--work-path | *:-b | *:-bundle | *:-image-path | *:-learn | *:-root | *:-work-path) _pyrunc_offer 'directory'; return ;;
    *:--config | *:--console-socket | *:--file | *:--log | *:--pid-file | *:--pidfd-socket | *:--process | *:--resources | *:--trace | *:-config | *:-console-socket | *:-file | *:-log | *:-p | *:-pid-file | *:-pidfd-socket | *:-process | *:-r | *:-resources | *:-trace | check:-f | create:-f | explain:-f | restore:-f | run:-f | spec:-f) _pyrunc_offer 'file'; return ;;
    *:--network-lock | *:-network-lock) _pyrunc_offer 'iptables nftables skip'; return ;;
    *:--manage-cgroups-mode | *:-manage-cgroups-mode) _pyrunc_offer 'soft full strict ignore'; return ;;
    list:--format | list:-f | list:-format | ps:--format | ps:-f | ps:-format) _pyrunc_offer 'table json'; return ;;
    *:--log-format | *:-log-format | check:--format | check:-format | explain:--format | explain:-format | info:--format | info:-f | info:-format | verify:--format | verify:-f | verify:-format) _pyrunc_offer 'text json'; return ;;
    *) return ;;
    esac
    case $verb:$count:$word in
    :*) _pyrunc_offer '--root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --trace --policy --rootless --version --json --help create start state kill delete run exec list ps pause resume update events spec features checkpoint restore mounts devices explain check info completion verify doctor' ;;
    create:*:-*) _pyrunc_offer '--bundle --config --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds --explain-seccomp --help' ;;
    start:*:-*) _pyrunc_offer '--help' ;;
    state:*:-*) _pyrunc_offer '--help' ;;
    kill:0:-*) _pyrunc_offer '--all --regex --help' ;;
    delete:*:-*) _pyrunc_offer '--force --regex --help' ;;
    run:*:-*) _pyrunc_offer '--bundle --config --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds --explain-seccomp --detach --no-subreaper --keep --learn --timings --help' ;;
    exec:0:-*) _pyrunc_offer '--process --detach --pid-file --console-socket --pidfd-socket --tty --cwd --env --user --additional-gids --process-label --apparmor --no-new-privs --cap --preserve-fds --no-subreaper --cgroup --explain-seccomp --learn --ignore-paused --help' ;;
    list:*:-*) _pyrunc_offer '--format --quiet --help' ;;
    ps:0:-*) _pyrunc_offer '--format --help' ;;
    pause:*:-*) _pyrunc_offer '--help' ;;
    resume:*:-*) _pyrunc_offer '--help' ;;
    update:*:-*) _pyrunc_offer '--resources --dry-run --blkio-weight --cpu-period --cpu-quota --cpu-burst --cpu-share --cpu-rt-period --cpu-rt-runtime --cpuset-cpus --cpuset-mems --cpu-idle --memory --memory-reservation --reclaim --memory-swap --pids-limit --l3-cache-schema --mem-bw-schema --help' ;;
    events:*:-*) _pyrunc_offer '--interval --stats --help' ;;
    spec:*:-*) _pyrunc_offer '--bundle --file --rootless --help' ;;
    features:*:-*) _pyrunc_offer '--help' ;;
    checkpoint:*:-*) _pyrunc_offer '--image-path --work-path --parent-path --tcp-established --tcp-close --tcp-skip-in-flight --link-remap --ext-unix-sk --shell-job --lazy-pages --status-fd --page-server --file-locks --manage-cgroups-mode --empty-ns --auto-dedup --network-lock --together --leave-running --pre-dump --help' ;;
    restore:*:-*) _pyrunc_offer '--together --image-path --work-path --parent-path --tcp-established --tcp-close --tcp-skip-in-flight --link-remap --ext-unix-sk --shell-job --lazy-pages --status-fd --page-server --file-locks --manage-cgroups-mode --empty-ns --auto-dedup --network-lock --bundle --config --detach --pid-file --console-socket --no-pivot --no-subreaper --no-new-keyring --lsm-profile --lsm-mount-context --help' ;;
    mounts:*:-*) _pyrunc_offer '--help' ;;
    devices:*:-*) _pyrunc_offer '--access --dry-run --help' ;;
    explain:*:-*) _pyrunc_offer '--config --id --format --diff --no-pivot --no-new-keyring --preserve-fds --help' ;;
    check:*:-*) _pyrunc_offer '--config --id --offline --preserve-fds --format --no-schema --help' ;;
    info:*:-*) _pyrunc_offer '--format --performance --help' ;;
    completion:*:-*) _pyrunc_offer '--help' ;;
    verify:*:-*) _pyrunc_offer '--format --help' ;;
    doctor:*:-*) _pyrunc_offer '--fix --force --help' ;;
    start:0:*) _pyrunc_offer 'container' ;;
    state:0:*) _pyrunc_offer 'container' ;;
    kill:0:*) _pyrunc_offer 'container' ;;
    kill:1:*) _pyrunc_offer 'signal' ;;
    delete:0:*) _pyrunc_offer 'container' ;;
    exec:0:*) _pyrunc_offer 'container' ;;
    ps:0:*) _pyrunc_offer 'container' ;;
    pause:0:*) _pyrunc_offer 'container' ;;
    resume:0:*) _pyrunc_offer 'container' ;;
    update:0:*) _pyrunc_offer 'container' ;;
    events:0:*) _pyrunc_offer 'container' ;;
    checkpoint:0:*) _pyrunc_offer 'container' ;;
    restore:0:*) _pyrunc_offer 'container' ;;
    restore:1:*) _pyrunc_offer ' ' ;;
    mounts:0:*) _pyrunc_offer 'add remove' ;;
    mounts:1:*) _pyrunc_offer 'container' ;;
    mounts:2:*) _pyrunc_offer 'file' ;;
    devices:0:*) _pyrunc_offer 'add remove' ;;
    devices:1:*) _pyrunc_offer 'container' ;;
    devices:2:*) _pyrunc_offer 'file' ;;
    explain:0:*) _pyrunc_offer 'directory' ;;
    check:0:*) _pyrunc_offer 'directory' ;;
    completion:0:*) _pyrunc_offer 'bash zsh fish' ;;
    verify:0:*) _pyrunc_offer 'container' ;;
    doctor:0:*) _pyrunc_offer 'container' ;;
    esac
}
complete -F _pyrunc pyrunc
