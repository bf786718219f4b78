#!/usr/bin/env bash
# Prints the folder of a kernel tree for the tests of drivers that are not gemdma's: GEMDMA_KERNEL where it is set, else the
# distribution's source package (Debian's linux-source), unpacked once to the user's cache. Says why on standard error and
# fails where there is none. Nothing of it is part of gemdma.
set -euo pipefail

version=6.12
if [ -n "${GEMDMA_KERNEL:-}" ]; then
  [ -f "$GEMDMA_KERNEL/include/linux/kconfig.h" ] || { echo "GEMDMA_KERNEL=$GEMDMA_KERNEL is no kernel tree" >&2; exit 1; }
  echo "$GEMDMA_KERNEL"
  exit
fi

cache="${XDG_CACHE_HOME:-$HOME/.cache}/gemdma/linux-source-$version"
if [ -f "$cache/complete" ]; then
  echo "$cache"
  exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
archive="/usr/src/linux-source-$version.tar.xz"
if [ ! -f "$archive" ]; then
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo 'no apt-get: set GEMDMA_KERNEL to a kernel tree' >&2; exit 1; }
  download() { (cd "$work" && timeout 300 apt-get -qq download "linux-source-$version" >&2); }
  download || { timeout 120 apt-get -qq update >&2 && download; } ||
    { echo "the package linux-source-$version cannot be had: set GEMDMA_KERNEL to a kernel tree" >&2; exit 1; }
  dpkg-deb --fsys-tarfile "$work"/linux-source-*.deb | tar -x -C "$work" "./usr/src/linux-source-$version.tar.xz"
  archive="$work/usr/src/linux-source-$version.tar.xz"
fi

# What drivers and their headers need; not the architectures, of which gemdma has its own.
rm -rf "$cache"
mkdir -p "$cache"
top="linux-source-$version"
tar -xJf "$archive" -C "$cache" --strip-components=1 "$top/include" "$top/lib" "$top/kernel" "$top/drivers" "$top/sound" "$top/net" "$top/crypto" "$top/COPYING"
touch "$cache/complete"
echo "$cache"
