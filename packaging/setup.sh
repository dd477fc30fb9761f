#!/bin/sh
# Installs the Debian packages that are missing; without root, prints the one command that does.
# usage: packaging/setup.sh build|deb|test|bench    (all need those of build, and test those of deb, too)
set -eu
list=$(dirname "$0")/debian-packages
case ${1-} in
build) needs='build' ;;
deb) needs='build|deb' ;;
test) needs='build|deb|test' ;;
bench) needs='build|bench' ;;
*) echo "usage: $0 build|deb|test|bench" >&2; exit 2 ;;
esac

wanted=$(sed -nE "s/^($needs) ([^ ]+).*/\2/p" "$list")
if ! command -v dpkg-query >/dev/null; then
  echo "not a Debian system; what is needed is in packaging/debian-packages"
  exit 0
fi
# A package of another architecture's name, or a virtual one, counts as what provides it.
installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' |
  sed -nE 's/^installed //; T; s/\([^)]*\)|,//g; p' | tr -s ' \n' '  ') "
missing=
for package in $wanted; do
  case $installed in *" $package "*) ;; *) missing="$missing $package" ;; esac
done
# Node's own packages bring npm, Debian's does not.
command -v npm >/dev/null || missing="$missing npm"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "packages are missing; run: sudo apt-get install -y --no-install-recommends$missing" >&2
  exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of names
exec apt-get install -qq -y --no-install-recommends $missing
