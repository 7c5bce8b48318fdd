# SPDX-License-Identifier: Apache-2.0
# Completion of pyrunc for bash: `pyrunc completion bash`.
_pyrunc() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb="" flags="" each
    case $previous in
    --additional-gids|--apparmor|--blkio-weight|--cap|--cgroup|--cpu-burst|--cpu-idle|--cpu-period|--cpu-quota|--cpu-rt-period|--cpu-rt-runtime|--cpu-share|--cpuset-cpus|--cpuset-mems|--cwd|--empty-ns|--env|--id|--interval|--l3-cache-schema|--lsm-mount-context|--lsm-profile|--mem-bw-schema|--memory|--memory-reservation|--memory-swap|--page-server|--parent-path|--pids-limit|--policy|--preserve-fds|--process-label|--status-fd|--user) return ;;
    --rootless) COMPREPLY=($(compgen -W "auto true false" -- "$word")); return ;;
    --cgroup-manager) COMPREPLY=($(compgen -W "cgroupfs systemd disabled" -- "$word")); return ;;
    --log-level) COMPREPLY=($(compgen -W "debug info warning error" -- "$word")); return ;;
    --bundle|--image-path|--root|--work-path) COMPREPLY=($(compgen -d -- "$word")); return ;;
    --config|--console-socket|--file|--log|--pid-file|--pidfd-socket|--process|--resources) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --network-lock) COMPREPLY=($(compgen -W "iptables nftables skip" -- "$word")); return ;;
    --manage-cgroups-mode) COMPREPLY=($(compgen -W "soft full strict ignore" -- "$word")); return ;;
    --format|--log-format) COMPREPLY=($(compgen -W "text json" -- "$word")); return ;;
    esac
    for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $each in create|start|state|kill|delete|run|exec|list|ps|pause|resume|update|events|spec|features|checkpoint|restore|mounts|explain|check|info|completion|verify|doctor) verb=$each; break ;; esac
    done
    case $verb in
    '') flags='--root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --policy --rootless --version --help create start state kill delete run exec list ps pause resume update events spec features checkpoint restore mounts explain check info completion verify doctor' ;;
    create) flags='--bundle --config --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds --help' ;;
    start) flags='--help' ;;
    state) flags='--help' ;;
    kill) flags='--all --regex --help' ;;
    delete) flags='--force --regex --help' ;;
    run) flags='--bundle --config --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds --detach --no-subreaper --keep --explain-seccomp --help' ;;
    exec) flags='--process --detach --pid-file --console-socket --pidfd-socket --tty --cwd --env --user --additional-gids --process-label --apparmor --no-new-privs --cap --preserve-fds --no-subreaper --cgroup --ignore-paused --help' ;;
    list) flags='--format --quiet --help' ;;
    ps) flags='--format --help' ;;
    pause) flags='--help' ;;
    resume) flags='--help' ;;
    update) flags='--resources --dry-run --blkio-weight --cpu-period --cpu-quota --cpu-burst --cpu-share --cpu-rt-period --cpu-rt-runtime --cpuset-cpus --cpuset-mems --cpu-idle --memory --memory-reservation --memory-swap --pids-limit --l3-cache-schema --mem-bw-schema --help' ;;
    events) flags='--interval --stats --help' ;;
    spec) flags='--bundle --file --rootless --help' ;;
    features) flags='--help' ;;
    checkpoint) flags='--image-path --work-path --parent-path --tcp-established --tcp-close --tcp-skip-in-flight --link-remap --ext-unix-sk --shell-job --lazy-pages --status-fd --page-server --file-locks --manage-cgroups-mode --empty-ns --auto-dedup --network-lock --leave-running --pre-dump --help' ;;
    restore) flags='--image-path --work-path --parent-path --tcp-established --tcp-close --tcp-skip-in-flight --link-remap --ext-unix-sk --shell-job --lazy-pages --status-fd --page-server --file-locks --manage-cgroups-mode --empty-ns --auto-dedup --network-lock --bundle --config --detach --pid-file --console-socket --no-pivot --no-subreaper --no-new-keyring --lsm-profile --lsm-mount-context --help' ;;
    mounts) flags='--help' ;;
    explain) flags='--config --id --no-pivot --no-new-keyring --preserve-fds --help' ;;
    check) flags='--config --format --no-schema --help' ;;
    info) flags='--format --help' ;;
    completion) flags='--help' ;;
    verify) flags='--format --help' ;;
    doctor) flags='--fix --force --help' ;;
    esac
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
    case $verb in start|state|kill|delete|exec|ps|pause|resume|update|events|checkpoint|restore|verify)
        [ "${word#-}" != "$word" ] || COMPREPLY=($(compgen -W "$(pyrunc list -q 2>/dev/null)" -- "$word")) ;;
    esac
}
complete -F _pyrunc pyrunc
