# The demo's processes and ports: started, watched, killed and ended. Sourced by run.sh.

# --- processes: only what this demo started is ever signalled ---

since_of() {  # since_of PID: sets `since`, its start time: with the pid it names one process for ever
  local stat
  since=""
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  local fields=(${stat##*) })  # without a subshell, which Ctrl-C would end
  [[ ${fields[0]} == Z ]] && return 1
  since=${fields[19]}
}

ours() {  # ours PID SINCE
  local since
  since_of "$1" && [[ $since == "$2" ]]
}

start() {  # start NAME COMMAND...: in a session of its own, so that Ctrl-C reaches only this script
  local name=$1 pid since
  shift
  starting=1  # nobody leaves between the start and the record of it
  setsid "$@" >>"$dir/$name.out" 2>&1 </dev/null &
  pid=$!
  since_of "$pid"
  echo "$pid $since $name" >>"$dir/pids"
  starting=0
  ((interrupted)) && exit 130
  disown "$pid"  # its end is no news for the terminal
  declare -g "${name}_pid=$pid"
}

on_signal() {
  interrupted=1
  ((starting)) || exit 130
}

end() {  # end PID SINCE: SIGTERM, SIGKILL after 10 s
  ours "$1" "$2" || return 0
  kill -TERM "$1" 2>/dev/null
  for _ in {1..100}; do ours "$1" "$2" || return 0; sleep 0.1; done
  kill -KILL "$1" 2>/dev/null
}

latest() {  # latest NAME: sets `pid` and `since` of the one started last
  local row_pid row_since row_name
  pid="" since=""
  while read -r row_pid row_since row_name; do
    [[ $row_name == "$1" ]] && pid=$row_pid since=$row_since
  done <"$dir/pids"
  [[ -n $pid ]]
}

alive() {
  local pid since
  latest "$1" && ours "$pid" "$since"
}

crash() {  # crash NAME: SIGKILL, and wait until it is gone
  local pid since
  latest "$1" && ours "$pid" "$since" || fail "$1 had ended already: $(last_words "$1")"
  crash_process "$pid" "$since"
}

crash_process() {  # crash_process PID SINCE
  ours "$1" "$2" && kill -KILL "$1"
  for _ in {1..1000}; do ours "$1" "$2" || return 0; sleep 0.01; done
  fail "process $1 survived SIGKILL for 10 s"
}

# The service's instances, which outlive the daemon on purpose: known by working folder and name, also when
# the program has been built anew since. Sets `backends`, their pids. The launcher (the kernel keeps 15
# letters of a name) is one that has not yet become the program.
find_backends() {
  local proc comm
  backends=()
  for proc in /proc/[0-9]*; do
    [[ $proc/cwd -ef $dir ]] && { read -r comm <"$proc/comm"; } 2>/dev/null || continue
    [[ $comm == demo-backend || $comm == autoscaled-laun ]] && backends+=("${proc#/proc/}")
  done
}

port_of() {  # port_of PID: sets `port`, where the backend listens
  local arguments
  port=""
  { mapfile -d '' arguments <"/proc/$1/cmdline"; } 2>/dev/null
  port=${arguments[2]:-}
}

stop_backends() {  # until none is left: one may have been about to start when the daemon ended
  local pid since clean=0
  while ((clean < 2)); do
    find_backends
    clean=$((${#backends[@]} == 0 ? clean + 1 : 0))
    for pid in "${backends[@]}"; do kill -TERM "$pid" 2>/dev/null; done
    for pid in "${backends[@]}"; do since_of "$pid" && end "$pid" "$since"; done
    sleep 0.1
  done
}

stop_all() {  # the daemon before the backends, or it would replace them
  local wanted pid since name
  for wanted in load daemon backends edge exporter prometheus; do
    [[ $wanted == backends ]] && { stop_backends; continue; }
    while read -r pid since name; do
      [[ $name == "$wanted"* ]] && end "$pid" "$since"
    done <"$dir/pids"
  done
  rm -rf "$dir/prometheus" "$dir"/edge?/tmp "$dir/pids"
}

# wait_until SECONDS NAME CHECK...: waits for NAME to become ready; fails with the last words of it, or
# of another part that has ended.
wait_until() {
  local bound=$((SECONDS + $1)) name=$2 part
  shift 2
  until "$@"; do
    for part in $(awk '{ print $3 }' "$dir/pids" | sort -u); do
      alive "$part" || fail "$part ended at once: $(last_words "$part")"
    done
    ((SECONDS < bound)) || fail "$name did not become ready in time: $(last_words "$name")"
    sleep 0.1
  done
}

last_words() {
  local log
  for log in "$dir/$1.out" "$dir/$1/error.log" "$dir/autoscaled.log"; do
    [[ -s $log ]] && { tail -n 3 "$log"; return; }
  done
  echo "it said nothing; see $dir"
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

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# --- starting ---

check_parts() {
  local program
  for program in bin/autoscaled bin/autoscalectl demo/demo-backend demo/demo-exporter demo/demo-load; do
    [[ -x $build/$program ]] || { echo "$build/$program is missing: run 'make demo'" >&2; exit 2; }
  done
  for program in usr/sbin/nginx usr/bin/prometheus; do
    [[ -x $parts/$program ]] || { echo "$parts has no $program: run deploy/fetch-parts.sh" >&2; exit 2; }
  done
}

write_config() {  # write_config FILE [EDGE]: fills in the words of deploy/demo/config/FILE
  local user="" edge=${2:-}
  [[ $EUID -eq 0 ]] && user="user root;"
  triplet=$(basename "$(ls -d /usr/lib/*-linux-gnu | head -n 1)")
  sed -e "s|@EDGE@|$edge|g; s|@EDGE_PORT@|$((first_port + ${edge#edge} - 1))|g" \
    -e "s|@EXPORTER1_PORT@|$exporter1_port|g; s|@EXPORTER2_PORT@|$exporter2_port|g" \
    -e "s|@PROMETHEUS_PORT@|$prometheus_port|g; s|@DAEMON_PORT@|$daemon_port|g" \
    -e "s|@FIRST_PORT@|$((first_port + 6))|g; s|@LAST_PORT@|$((first_port + 25))|g" \
    -e "s|@REPOSITORY@|$repository|g; s|@BUILD@|$build|g; s|@PARTS@|$parts|g" \
    -e "s|@TRIPLET@|$triplet|g; s|@DIR@|$dir|g; s|@USER@|$user|g; s|@MIN@|$minimum|g" \
    "$repository/deploy/demo/config/$1" >"$dir/${edge:+$edge/}$1"
}

prepare() {
  check_parts
  # A unix socket's path holds 107 bytes.
  local home=$build edge
  [[ ${#home} -le 70 ]] || home=${TMPDIR:-/tmp}
  trap on_signal INT TERM HUP PIPE
  dir=$(mktemp -d "$home/demo-XXXXXX") || exit 1
  trap finish EXIT
  chmod 755 "$dir"
  touch "$dir/pids"
  mkdir -p "$dir/services.d" "$dir/policies" "$dir/prometheus"
  cp "$repository/policies/requests_per_instance.lua" "$dir/policies/" || fail "no policy"

  first_port=$(free_ports 26) || fail "no 26 free ports in a row between 20000 and 32000"
  load_ports=$first_port,$((first_port + 1))
  exporter1_port=$((first_port + 2)) exporter2_port=$((first_port + 3))
  prometheus_port=$((first_port + 4)) daemon_port=$((first_port + 5))
  for file in autoscaled.yaml services.d/web.yaml prometheus.yml; do write_config "$file"; done
  for edge in edge1 edge2; do
    mkdir -p "$dir/$edge/lists" "$dir/$edge/tmp"
    write_config nginx.conf "$edge"
  done
}

start_exporter() {  # start_exporter 1|2
  local port=exporter$1_port
  start "exporter$1" "$build/demo/demo-exporter" --port "${!port}" --from "$dir/edge$1/metrics.sock"
  wait_until 20 "exporter$1" answers "${!port}" /metrics
}

start_prometheus() {
  start prometheus "$parts/usr/bin/prometheus" --config.file="$dir/prometheus.yml" \
    --storage.tsdb.path="$dir/prometheus" --web.listen-address="127.0.0.1:$prometheus_port" \
    --web.enable-lifecycle --query.lookback-delta=10s --log.level=warn
  wait_until 60 prometheus answers "$prometheus_port" /-/ready
}

start_daemon() {
  start daemon "$build/bin/autoscaled" --config "$dir/autoscaled.yaml"
  wait_until 60 daemon answers "$daemon_port" /readyz
}

start_parts() {
  local libraries=$parts/usr/lib/$triplet:$parts/lib/$triplet faults i
  ulimit -n "$(ulimit -Hn)" 2>/dev/null
  for i in 1 2; do
    start "edge$i" env LD_LIBRARY_PATH="$libraries" "$parts/usr/sbin/nginx" -p "$dir/edge$i/" \
      -c nginx.conf -e error.log
  done
  for i in 1 2; do start_exporter "$i"; done
  start_prometheus
  faults=$("$build/bin/autoscaled" --config "$dir/autoscaled.yaml" --check-config 2>&1) ||
    fail "autoscaled --check-config: $faults"
  start_daemon
  wait_until 60 daemon capacity_is "$minimum"
}
