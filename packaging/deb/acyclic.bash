# bash completion for acyclic. `acyclic completion bash` evaluates what is on the line, which may hold $(commands);
# here words are passed as they are. Where Acyclic has nothing to offer, files are.
_acyclic() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
    :*) ;; # how to complete: nothing of it matters here
    *) [[ ${line%%$'\t'*} == "${COMP_WORDS[COMP_CWORD]}"* ]] && COMPREPLY+=("${line%%$'\t'*}") ;;
    esac
  done < <(acyclic complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o bashdefault -o default -F _acyclic acyclic
