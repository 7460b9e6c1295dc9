#!/bin/bash
# The demo: a real nginx, a real Prometheus and a real load; autoscaled starts and stops the backends.
# Started by `make demo`. Takes about two minutes, needs no root, and ends what it started.
#
#   deploy/demo/run.sh                run; DEMO_PEAK_RPS=700 sets the peak, KEEP=1 leaves it running
#   deploy/demo/run.sh --stop DIR     end what KEEP=1 left
set -uo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
build=${DEMO_BUILD:-$repository/build}  # another build tree, if you like
parts=${AUTOSCALE_PARTS:-$repository/build/parts}
peak_rps=${DEMO_PEAK_RPS:-700}
minimum=2

dir="" result=FAIL why="" load_pid=""
peak=0 final=-1 requests=0 failed=0

# --- processes: only what this demo started is ever signalled ---

started_at() {  # PID: its start time, which together with the pid names one process for ever
  local stat
  read -r stat 2>/dev/null <"/proc/$1/stat" && awk '{ print $20 }' <<<"${stat##*) }"
}

start() {  # start NAME COMMAND...: in a session of its own, so that Ctrl-C reaches only this script
  local name=$1
  shift
  setsid "$@" >"$dir/$name.out" 2>&1 </dev/null &
  echo "$! $(started_at $!) $name" >>"$dir/pids"
  declare -g "${name}_pid=$!"
}

ours() { [[ -n $2 && $(started_at "$1") == "$2" ]]; }

end() {  # end PID STARTED: SIGTERM, SIGKILL after 10 s
  ours "$1" "$2" || return 0
  kill -TERM "$1" 2>/dev/null
  for _ in {1..100}; do ours "$1" "$2" || return 0; sleep 0.1; done
  kill -KILL "$1" 2>/dev/null
}

backends() {  # they outlive the daemon, on purpose: known by program and working folder
  local proc
  for proc in /proc/[0-9]*; do
    [[ $(readlink "$proc/cwd" 2>/dev/null) == "$dir" &&
       $(readlink "$proc/exe" 2>/dev/null) == "$build/demo/demo-backend" ]] && echo "${proc#/proc/}"
  done
}

stop_all() {  # the daemon before the backends, or it would replace them
  local wanted pid since name
  for wanted in load daemon backends nginx prometheus; do
    if [[ $wanted == backends ]]; then
      for pid in $(backends); do kill -TERM "$pid" 2>/dev/null; done
      for pid in $(backends); do end "$pid" "$(started_at "$pid")"; done
      continue
    fi
    while read -r pid since name; do
      [[ $name == "$wanted" ]] && end "$pid" "$since"
    done <"$dir/pids"
  done
  rm -rf "$dir/prometheus" "$dir/nginx" "$dir/pids"
}

# --- small things that a bare Debian lacks a tool for ---

port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_ports() {  # free_ports COUNT: the first of so many consecutive ones, below the ephemeral range
  local first port
  for _ in {1..50}; do
    first=$((20000 + RANDOM % 12000))
    for ((port = first; port < first + $1; port++)); do port_free "$port" || continue 2; done
    echo "$first"
    return
  done
  return 1
}

http() {  # http PORT PATH: the answer, head and body
  local line
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$2" >&3
  while IFS= read -r -t 2 line || [[ -n $line ]]; do printf '%s\n' "${line%$'\r'}"; line=""; done <&3
  exec 3<&-
} 2>/dev/null

answers() { [[ $(http "$1" "$2" | head -n 1) == *" 200"* ]]; }

ctl() { "$build/bin/autoscalectl" --socket "$dir/control.sock" "$@"; }

field() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p"; }  # of one of our own JSON lines

# --- the run ---

fail() { why=$*; exit 1; }

wait_until() {  # wait_until SECONDS NAME CHECK...: fails with the last words of a NAME that died
  local bound=$((SECONDS + $1)) name=$2 pid
  shift 2
  pid=$(awk -v name="$name" '$3 == name { print $1 }' "$dir/pids")
  until "$@"; do
    kill -0 "$pid" 2>/dev/null || fail "$name ended at once: $(last_words "$name")"
    ((SECONDS < bound)) || fail "$name did not become ready in time: $(last_words "$name")"
    sleep 0.1
  done
}

last_words() {
  local log
  for log in "$dir/$1.out" "$dir/$1-error.log" "$dir/autoscaled.log"; do
    [[ -s $log ]] && { tail -n 3 "$log"; return; }
  done
  echo "it said nothing; see $dir"
}

finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP  # a second Ctrl-C must not leave half of it running
  [[ -n $dir && -d $dir ]] || exit "$status"
  if [[ $result == PASS && ${KEEP:-} == 1 ]]; then
    invite
  else
    [[ -z $why ]] && why="interrupted"
    stop_all
  fi
  local facts="requests=$requests failed=$failed peak_instances=$peak final_instances=$final"
  why=$(tr '"\\\n' "'/ " <<<"$why" | tr -d '\000-\037')  # one line, and plain text for JSON
  [[ $result == PASS ]] && why=""
  cat >"$dir/result.json" <<JSON
{"result": "$result", "why": "${why% }", "requests": $requests, "failed": $failed, "peak_instances": $peak, "final_instances": $final, "min_instances": $minimum, "peak_rps": $peak_rps, "folder": "$dir"}
JSON
  echo "facts: $dir/result.json"
  if [[ $result == PASS ]]; then
    echo "demo: PASS $facts"
    exit 0
  fi
  echo "logs: $dir"
  echo "demo: FAIL ${why% } ($facts)"
  exit 1
}

prepare() {
  [[ $peak_rps =~ ^[1-9][0-9]{0,4}$ ]] || { echo "DEMO_PEAK_RPS must be a number of requests/s, not '$peak_rps'" >&2; exit 2; }
  # SECONDS:RPS,...: up to the peak at once, down in two steps.
  schedule=${DEMO_SCHEDULE:-15:100,40:$peak_rps,25:$((peak_rps / 2)),40:100}
  for program in bin/autoscaled bin/autoscalectl demo/demo-backend demo/demo-load; do
    [[ -x $build/$program ]] || { echo "$build/$program is missing: run 'make demo'" >&2; exit 2; }
  done
  [[ -x $parts/usr/sbin/nginx ]] || { echo "$parts has no nginx: run deploy/fetch-parts.sh" >&2; exit 2; }
  # A unix socket's path holds 107 bytes.
  local home=$build
  [[ ${#home} -le 70 ]] || home=${TMPDIR:-/tmp}
  dir=$(mktemp -d "$home/demo-XXXXXX") || exit 1
  trap finish EXIT
  trap 'exit 130' INT TERM HUP
  chmod 755 "$dir"
  mkdir -p "$dir/services.d" "$dir/policies" "$dir/nginx" "$dir/prometheus"
  touch "$dir/pids"
  cp "$repository/policies/requests_per_instance.lua" "$dir/policies/" || fail "no policy"

  first_port=$(free_ports 24) || fail "no 24 free ports in a row between 20000 and 32000"
  nginx_port=$first_port nginx_metrics_port=$((first_port + 1))
  prometheus_port=$((first_port + 2)) daemon_port=$((first_port + 3))
  local user="" file
  [[ $EUID -eq 0 ]] && user="user root;"
  triplet=$(basename "$(ls -d /usr/lib/*-linux-gnu | head -n 1)")
  for file in autoscaled.yaml services.d/web.yaml prometheus.yml nginx.conf; do
    sed -e "s|@NGINX_PORT@|$nginx_port|g; s|@NGINX_METRICS_PORT@|$nginx_metrics_port|g" \
      -e "s|@PROMETHEUS_PORT@|$prometheus_port|g; s|@DAEMON_PORT@|$daemon_port|g" \
      -e "s|@FIRST_PORT@|$((first_port + 4))|g; s|@LAST_PORT@|$((first_port + 23))|g" \
      -e "s|@REPOSITORY@|$repository|g; s|@BUILD@|$build|g; s|@PARTS@|$parts|g" \
      -e "s|@TRIPLET@|$triplet|g; s|@DIR@|$dir|g; s|@USER@|$user|g; s|@MIN@|$minimum|g" \
      "$repository/deploy/demo/config/$file" >"$dir/$file"
  done
}

start_parts() {
  local libraries=$parts/usr/lib/$triplet:$parts/lib/$triplet
  ulimit -n "$(ulimit -Hn)" 2>/dev/null
  start nginx env LD_LIBRARY_PATH="$libraries" "$parts/usr/sbin/nginx" -p "$dir/" -c nginx.conf \
    -e nginx-error.log
  start prometheus "$parts/usr/bin/prometheus" --config.file="$dir/prometheus.yml" \
    --storage.tsdb.path="$dir/prometheus" --web.listen-address="127.0.0.1:$prometheus_port" \
    --web.enable-lifecycle --query.lookback-delta=10s --log.level=warn
  wait_until 10 nginx answers "$nginx_metrics_port" /metrics
  wait_until 20 prometheus answers "$prometheus_port" /-/ready
  ctl_check=$("$build/bin/autoscaled" --config "$dir/autoscaled.yaml" --check-config 2>&1) ||
    fail "autoscaled --check-config: $ctl_check"
  start daemon "$build/bin/autoscaled" --config "$dir/autoscaled.yaml"
  wait_until 20 daemon answers "$daemon_port" /readyz
  wait_until 30 daemon capacity_is "$minimum"
}

# capacity: desired, ready and draining instances as the daemon's /metrics has them.
read_capacity() {
  desired=0 ready=0 draining=0
  read -r desired ready draining < <(http "$daemon_port" /metrics | awk '
    /^autoscaled_service_desired_instances\{/ { desired = $2 }
    /^autoscaled_service_ready_instances\{/ { ready = $2 }
    /^autoscaled_service_draining_instances\{/ { draining = $2 }
    END { print desired + 0, ready + 0, draining + 0 }')
}

capacity_is() { read_capacity; [[ $desired -eq $1 && $ready -eq $1 && $draining -eq 0 ]]; }

bar() {  # ready #, starting +, draining -
  local text=""
  printf -v text '%*s' "$ready" ""; text=${text// /#}
  local more; printf -v more '%*s' "$((desired > ready ? desired - ready : 0))" ""; text+=${more// /+}
  printf -v more '%*s' "$draining" ""; text+=${more// /-}
  echo "$text"
}

watch_load() {  # a line every two seconds until the load has ended
  local line shown=0 lines p95 total_failed=0 t
  printf '\n%5s  %8s  %8s  %-20s %-7s %9s %7s\n' time "req/s" "answered" "instances (# ready)" "ready" "p95" failed
  while kill -0 "$load_pid" 2>/dev/null; do
    sleep 0.25
    lines=$(wc -l <"$dir/load.jsonl" 2>/dev/null || echo 0)
    ((lines > shown)) || continue
    line=$(tail -n 1 "$dir/load.jsonl")
    total_failed=$(awk -F'"failed":' '{ split($2, part, ","); sum += part[1] } END { print sum + 0 }' "$dir/load.jsonl")
    read_capacity
    ((ready > peak)) && peak=$ready
    kill -0 "$daemon_pid" 2>/dev/null || fail "autoscaled ended in the middle: $(last_words daemon)"
    shown=$lines
    ((lines % 2 == 0)) || continue
    t=$(field t <<<"$line")
    p95=$(field p95_ms <<<"$line")
    printf '%2d:%02d  %8d  %8d  %-20s %3d/%-3d %6.0f ms %7d\n' $((t / 60)) $((t % 60)) \
      "$(field arrived <<<"$line")" "$(field succeeded <<<"$line")" "$(bar)" "$ready" "$desired" "$p95" "$total_failed"
  done
}

explain_step() {  # the decision that added most
  local decision
  decision=$(ctl -o json history web --limit 200 | awk '
    /^ *"id": [0-9]/ { id = $2 + 0 }
    /"decision": \{/ { inside = 1 }
    inside && /"before":/ { before = $2 + 0 }
    inside && /"desired":/ {
      inside = 0
      if (before > 0 && $2 - before > most) { most = $2 - before; found = id }
    }
    END { if (found) print found }')
  [[ -n $decision ]] || { printf '\nIt never scaled out.\n'; return; }
  printf '\nWhy it scaled out: autoscalectl explain --decision %s\n\n' "$decision"
  ctl explain --decision "$decision"
  echo
}

judge() {
  [[ -s $dir/load.json ]] || fail "the load ended without a summary: $(last_words load)"
  requests=$(field arrived <"$dir/load.json")
  failed=$(field failed <"$dir/load.json")
  local bound=$((SECONDS + 30))
  until capacity_is "$minimum" || ((SECONDS >= bound)); do sleep 0.2; done
  final=$((ready + draining > desired ? ready + draining : desired))
  ((failed == 0)) || fail "$failed requests failed: $(sed -n 's/.*"causes":\({[^}]*}\).*/\1/p' "$dir/load.json")"
  ((requests >= 5000)) || fail "only $requests requests, which proves little: raise DEMO_PEAK_RPS"
  ((peak >= 4)) || fail "at most $peak instances were ready, fewer than 4: raise DEMO_PEAK_RPS"
  ((final == minimum)) || fail "$final instances remain, not the service's min of $minimum"
  result=PASS
}

invite() {
  cat <<TEXT

It is still running. Try:
  more load   $build/demo/demo-load --port $nginx_port --schedule 60:500
  status      $build/bin/autoscalectl --socket $dir/control.sock status
  why         $build/bin/autoscalectl --socket $dir/control.sock explain web
  a policy    edit $dir/policies/requests_per_instance.lua, then
              $build/bin/autoscalectl --socket $dir/control.sock reload
  a crash     kill -9 $daemon_pid: the backends and nginx carry on; start it again, and end it
              with Ctrl-C before you stop the rest:
              $build/bin/autoscaled --config $dir/autoscaled.yaml
  service     http://127.0.0.1:$nginx_port/
  daemon      http://127.0.0.1:$daemon_port/metrics
  Prometheus  http://127.0.0.1:$prometheus_port/
  stop        $repository/deploy/demo/run.sh --stop $dir

TEXT
}

[[ ${BASH_SOURCE[0]} == "$0" ]] || return 0  # tests/bench/step_bench wants the functions only

if [[ ${1:-} == --stop ]]; then
  dir=$(cd "${2:?usage: run.sh --stop DIR}" && pwd) || exit 2
  [[ -f $dir/pids ]] || { echo "$dir holds no running demo" >&2; exit 2; }
  stop_all
  exit 0
fi

prepare
echo "demo: starting nginx, Prometheus and autoscaled in $dir"
start_parts
echo "demo: $minimum instances serve; now a load of ${schedule//,/, then } (seconds:requests/s)"
start load "$build/demo/demo-load" --port "$nginx_port" --schedule "$schedule" \
  --out "$dir/load.jsonl" --summary "$dir/load.json"
watch_load
explain_step
judge
