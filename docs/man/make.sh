#!/bin/sh
# Prints a manual page: its template, with what guardctl says of its commands and what the manual says of the options.
#   make.sh TEMPLATE GUARDCTL [NAME=VALUE]…     NAME=VALUE fills in @NAME@
# The pages cannot say anything else than `guardctl --help` and docs/configuration.md, which a test holds against the code.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
template=${1:?usage: make.sh TEMPLATE GUARDCTL [NAME=VALUE]…} guardctl=${2:?usage: make.sh TEMPLATE GUARDCTL [NAME=VALUE]…}
shift 2

# text on stdin, so that roff prints it as it stands
verbatim() { sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\\([.']\\)/\\\\\\&\\1/"; }

commands() {
  "$guardctl" help | sed -n 's/^  \([a-z][a-z -]*[a-z]\)  .*/\1/p' | grep -vx version | while read -r name; do
    printf '.SS %s\n.nf\n' "$name"
    # shellcheck disable=SC2086 # one or two words
    "$guardctl" $name --help | verbatim
    printf '.fi\n'
  done
}

# the rows of the option list: | `name` ↻ | value | default | meaning |
options() {
  sed -n '/^<!-- options:/,/^<!-- end of options/p' "$here/../configuration.md" | verbatim | awk -F ' *[|] *' '
    /^### / { print ".SS " substr($0, 5); next }
    /^[|] `/ {
      reload = $2 ~ /↻/ ? " (reload)" : ""
      name = $2; sub(/^`/, "", name); sub(/`.*/, "", name)
      meaning = $5; gsub(/`/, "", meaning)
      standard = $4; gsub(/`/, "", standard)
      printf ".TP\n.BR %s \" %s%s\"\n%s%s\n", name, $3, reload, meaning, standard == "" ? "" : " [" standard "]"
    }'
}

case $template in
  *guardctl.1.in) commands=$(commands) options= ;;
  *) commands= options=$(options) ;;
esac
edit=
for pair in "$@"; do edit="$edit;s|@${pair%%=*}@|${pair#*=}|g"; done
while IFS= read -r line; do
  case $line in
    @COMMANDS@) printf '%s\n' "$commands" ;;
    @OPTIONS@) printf '%s\n' "$options" ;;
    *) printf '%s\n' "$line" | sed "$edit" ;;
  esac
done <"$template"
