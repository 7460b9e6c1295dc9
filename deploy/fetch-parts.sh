#!/bin/bash
# Unpacks Prometheus and nginx with its Lua module into a private folder and starts nothing.
#
#   deploy/fetch-parts.sh [DIR [haproxy]]      (default: build/parts)
#
# With `haproxy`, which only tests need, HAProxy into DIR/haproxy, and nothing else.
#
# Installing these packages would start and enable services; unpacking them needs no root and leaves
# the machine as it was. Without a package source, programs that are installed already are used.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=${1:-build/parts}
part=${2:-}
packages=(prometheus nginx nginx-common libnginx-mod-http-lua libnginx-mod-http-ndk lua-resty-core
          lua-resty-lrucache lua-cjson libluajit2-5.1-2 libluajit2-5.1-common)
libraries=(libpcre3 libssl3 libpcre2-8-0 libcrypt1 zlib1g)  # of nginx, on a machine that lacks them
if [[ $part == haproxy ]]; then
  dir+=/haproxy
  packages=(haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1)
  libraries=(libssl3 libpcre2-8-0 libcrypt1 libsystemd0)
elif [[ -n $part ]]; then
  echo "usage: deploy/fetch-parts.sh [DIR [haproxy]]" >&2
  exit 2
fi

triplet=$(basename "$(ls -d /usr/lib/*-linux-gnu | head -1)")

complete() {  # every file that is started or loaded from the folder
  [[ $part == haproxy ]] && { [[ -x $1/usr/sbin/haproxy ]]; return; }
  [[ -x $1/usr/bin/prometheus && -x $1/usr/sbin/nginx &&
     -e $1/usr/lib/nginx/modules/ngx_http_lua_module.so &&
     -e $1/usr/lib/nginx/modules/ndk_http_module.so &&
     -e $1/usr/share/lua/5.1/resty/core.lua && -e $1/usr/lib/$triplet/lua/5.1/cjson.so ]]
}

runs() {  # its programs and modules find all their libraries
  local libraries=$1/usr/lib/$triplet:$1/lib/$triplet programs=()
  if [[ $part == haproxy ]]; then programs=("$1/usr/sbin/haproxy")
  else programs=("$1/usr/bin/prometheus" "$1/usr/sbin/nginx" "$1"/usr/lib/nginx/modules/ngx_http_lua_module.so); fi
  ! LD_LIBRARY_PATH=$libraries ldd "${programs[@]}" 2>&1 | grep -q 'not found'
}

unpack() {  # unpack INTO PACKAGE...
  local into=$1 deb
  shift
  rm -rf "$into/.debs"
  mkdir -p "$into/.debs"
  # Downloading as oneself: apt's own user could not write into the folder.
  (cd "$into/.debs" && apt-get -q -q -o APT::Sandbox::User="$(id -un)" download "$@") || return 1
  for deb in "$into"/.debs/*.deb; do dpkg -x "$deb" "$into" || return 1; done
  rm -rf "$into/.debs"
}

fetch() {
  unpack "$fresh" "${packages[@]}" || return 1
  runs "$fresh" || unpack "$fresh" "${libraries[@]}" || return 1
  complete "$fresh" && runs "$fresh"
}

refresh_lists() {  # only root may; needed when there are none, or they name superseded versions
  if [[ $EUID -eq 0 ]]; then apt-get -q -q update
  elif command -v sudo >/dev/null; then sudo apt-get -q -q update
  else return 1; fi
}

if complete "$dir" && runs "$dir"; then exit 0; fi
rm -rf "$dir"
mkdir -p "$(dirname "$dir")"
fresh=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$fresh"' EXIT

names=${part:-prometheus and nginx}
echo "fetch-parts: unpacking $names into $dir"
if fetch 2>"$fresh/.errors" || { refresh_lists && fetch; }; then
  rm -f "$fresh/.errors"
  chmod 755 "$fresh"
  mv -T "$fresh" "$dir" 2>/dev/null || complete "$dir"  # someone else may have been faster
elif complete / && runs /; then
  echo "fetch-parts: no download; using the $names that are installed"
  mkdir "$fresh/installed"
  ln -s /usr "$fresh/installed/usr"
  mv "$fresh/installed" "$dir"
else
  echo "fetch-parts: could not download ${packages[*]}, and they are not installed: check the" \
       "network and that 'apt-get update' works" >&2
  exit 1
fi
