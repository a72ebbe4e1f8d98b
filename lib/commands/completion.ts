import { Argument, Command } from 'commander'

/** The script for each shell. Each calls `moniker complete`, and shows its answer in its own way. */
export const SCRIPTS = {
  // Bash ends a word at `:`, `=` and `@`, and completes the part after it.
  bash: `_moniker() {
  local line=\${COMP_LINE:0:COMP_POINT} breaks=\${COMP_WORDBREAKS//[^:=@]} start= words last daemon=()
  read -ra words <<<"$line"
  [[ $line == *[[:blank:]] ]] && words+=('')
  last=\${words[-1]}
  [[ \${words[0]} == *monikerd ]] && daemon=(daemon)
  [[ $breaks ]] && start=\${last%"\${last##*[$breaks]}"}
  COMPREPLY=()
  while IFS=$'\\t' read -r line _; do
    if [[ $line == :files ]]; then compopt -o default; else COMPREPLY+=("\${line#"$start"}"); fi
  done < <(moniker complete -- "\${daemon[@]}" "\${words[@]:1}" 2>/dev/null)
}
complete -F _moniker moniker monikerd`,
  zsh: `#compdef moniker monikerd
_moniker() {
  local line ret=1
  local -a found daemon
  [[ $words[1] == *monikerd ]] && daemon=(daemon)
  for line in "\${(@f)$(moniker complete -- $daemon "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      (:files*) _files && ret=0 ;;
      (?*) found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}") ;;
    esac
  done
  (( $#found )) && _describe moniker found && ret=0
  return ret
}
compdef _moniker moniker monikerd`,
  fish: `function __moniker_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l daemon
  string match -q '*monikerd' -- $words[1]; and set daemon daemon
  for line in (moniker complete -- $daemon $words[2..] 2>/dev/null)
    if string match -q ':files*' -- $line
      __fish_complete_path (commandline -ct)
    else
      echo $line
    end
  end
end
complete -c moniker -c monikerd -f -a '(__moniker_complete)'`,
}

export const completionCommand = new Command('completion')
  .description('Prints the script with which a shell completes commands, options and names.')
  .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(SCRIPTS)))
  .addHelpText(
    'after',
    `
In ~/.bashrc, in ~/.zshrc (after compinit), and once for fish:
  source <(moniker completion bash)
  source <(moniker completion zsh)
  moniker completion fish > ~/.config/fish/completions/moniker.fish`,
  )
  .action((shell: keyof typeof SCRIPTS) => console.log(SCRIPTS[shell]))
