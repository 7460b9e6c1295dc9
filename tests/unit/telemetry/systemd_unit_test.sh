#!/bin/sh
# Whether systemd accepts the unit, and how exposed it calls it. The programs need not be installed:
# a copy of the unit names programs that surely exist.
set -eu

unit=$1
if ! command -v systemd-analyze >/dev/null; then
  echo "skipped: systemd-analyze is not installed"
  exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
sed 's,=/usr/bin/autoscale[a-z]*,=/bin/true,' "$unit" >"$folder/autoscaled.service"

# It warns of keys that it does not know and still succeeds: any word is a fault.
said=$(systemd-analyze verify --man=no --recursive-errors=no "$folder/autoscaled.service" 2>&1) ||
  { echo "refused: $said"; exit 1; }
if [ -n "$said" ]; then
  echo "warned: $said"
  exit 1
fi

# 0 is the least exposed, 100 the most; see the unit on what the instances need.
systemd-analyze security --offline=true --no-pager --threshold=40 "$folder/autoscaled.service" \
  >"$folder/exposure" || { cat "$folder/exposure"; exit 1; }
tail -1 "$folder/exposure"

for line in Type=notify KillMode=process OOMPolicy=continue Restart=on-failure; do
  grep -qx "$line" "$unit" || { echo "the unit has no $line"; exit 1; }
done
