#!/bin/bash
# Writes the manual pages and the shells' completions below a folder, as a package has them.
#
#   packaging/man.sh DESTDIR [LBCTL]     LBCTL: the built program, target/release/lbctl unless named; lbtui beside it
set -euo pipefail
dest=${1:?packaging/man.sh DESTDIR [LBCTL]} lbctl=${2:-target/release/lbctl}
man=$dest/usr/share/man
"$lbctl" man --to "$man"/man1 >/dev/null
"$(dirname "$lbctl")"/lbtui --man > "$man"/man1/lbtui.1
install -d "$man"/man7 "$man"/man8
"$(dirname "$lbctl")"/lbagent man > "$man"/man8/lbagent.8
mv "$man"/man1/*.7 "$man"/man7
gzip -9nf "$man"/man?/*.[178]
install -d "$dest"/usr/share/bash-completion/completions "$dest"/usr/share/zsh/vendor-completions \
  "$dest"/usr/share/fish/vendor_completions.d
"$lbctl" completion bash > "$dest"/usr/share/bash-completion/completions/lbctl
"$lbctl" completion zsh > "$dest"/usr/share/zsh/vendor-completions/_lbctl
"$lbctl" completion fish > "$dest"/usr/share/fish/vendor_completions.d/lbctl.fish
echo "$(find "$man" -name '*.gz' | wc -l) manual pages, 3 completions below $dest"
