# SPDX-License-Identifier: Apache-2.0
# Completion of pyrunc for bash. Written by tools/manual.py (make generate).
_pyrunc() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb="" flags="" each
    case $previous in
    --rootless) COMPREPLY=($(compgen -W "auto true false" -- "$word")); return ;;
    --cgroup-manager) COMPREPLY=($(compgen -W "cgroupfs systemd disabled" -- "$word")); return ;;
    --log-level) COMPREPLY=($(compgen -W "debug info warning error" -- "$word")); return ;;
    --root) COMPREPLY=($(compgen -d -- "$word")); return ;;
    --log) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --format) COMPREPLY=($(compgen -W "table json" -- "$word")); return ;;
    --log-format) COMPREPLY=($(compgen -W "text json" -- "$word")); return ;;
    esac
    for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $each in start|state|kill|delete|list) verb=$each; break ;; esac
    done
    case $verb in
    '') flags='--root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --version --help --help start state kill delete list' ;;
    start) flags='--help' ;;
    state) flags='--help' ;;
    kill) flags='--all --regex --help' ;;
    delete) flags='--force --regex --help' ;;
    list) flags='--format --quiet --help' ;;
    esac
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
    case $verb in start|state|kill|delete)
        [ "${word#-}" != "$word" ] || COMPREPLY=($(compgen -W "$(pyrunc list -q 2>/dev/null)" -- "$word")) ;;
    esac
}
complete -F _pyrunc pyrunc
