# shellcheck shell=bash
# Debian packages: which are missing, and their installation. Sourced by the scripts in this folder's parent.

# need PACKAGE...: installs those that are not there, and says so. Fails with what to type when it may not.
need() {
  local missing=() p as_root=()
  for p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null && ! { [ -t 0 ] && command -v sudo >/dev/null; }; then
      echo "${0##*/}: these packages are missing and we are neither root nor allowed to use sudo." >&2
      echo "  as root: apt-get install --no-install-recommends ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  echo "${0##*/}: installing Debian packages: ${missing[*]}" >&2
  apt_quiet "${as_root[@]}" apt-get update && install_without_starting "${missing[@]}" && return 0
  echo "${0##*/}: apt-get could not install ${missing[*]} (its messages are above)" >&2
  return 1
}

# Some of these packages are daemons (keepalived, haproxy, nginx), and Debian starts a daemon when it is installed.
# We want the programs only: a policy file that answers 101 ("not allowed") stops that, for the time of this call.
install_without_starting() {
  local policy=/usr/sbin/policy-rc.d ours=0 rc=0
  if [ ! -e "$policy" ]; then
    ours=1
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null && "${as_root[@]}" chmod 755 "$policy"
  fi
  apt_quiet "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "$@" || rc=1
  [ $ours = 0 ] || "${as_root[@]}" rm -f "$policy"
  return $rc
}

# apt_quiet CMD...: the output appears only when the command fails.
apt_quiet() {
  local out
  out=$("$@" 2>&1 </dev/null) || { printf '%s\n' "$out" | tail -n 15 >&2; return 1; }
}
