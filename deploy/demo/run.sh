#!/bin/bash
# The demo: a real nginx, a real Prometheus and a real load; autoscaled starts and stops the backends.
# Then parts of it are killed. Started by `make demo`. Takes about three minutes, needs no root, and ends
# what it started.
#
#   deploy/demo/run.sh                run; DEMO_PEAK_RPS=700 sets the peak, DEMO_ACTS="1 3" chooses what
#                                     is killed (0: nothing), KEEP=1 leaves it running
#   deploy/demo/run.sh --stop DIR     end what KEEP=1 left
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
build=${DEMO_BUILD:-$repository/build}  # another build tree, if you like
parts=${AUTOSCALE_PARTS:-$repository/build/parts}
peak_rps=${DEMO_PEAK_RPS:-700}
base_rps=100 minimum=2 target_rps=150  # as in config/services.d/web.yaml
acts=${DEMO_ACTS-1 2 3 4}

dir="" result=FAIL why="" interrupted=0 starting=0
peak=0 final=-1 requests=0 failed=0 lost_in_flight=0 acts_json=""
desired=0 ready=0 draining=0 moves=0 cuts=0
seconds_seen=0 t=0 load_failed=0 daemon_answers=0 daemon_expected=1

source "$here/parts.sh"
source "$here/watch.sh"
source "$here/acts.sh"

fail() { why=$*; exit 1; }

plain() { printf '%s' "$*" | tr '"\\\n' "'/ " | tr -d '\000-\037'; }  # one line of text for JSON

finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP PIPE  # a second Ctrl-C must not leave half of it running
  [[ -n $dir && -d $dir ]] || exit "$status"
  if [[ $result == PASS && ${KEEP:-} == 1 ]]; then
    invite
  else
    [[ -z $why ]] && why="interrupted"
    stop_all
  fi
  local facts="requests=$requests failed=$failed lost_in_flight=$lost_in_flight peak_instances=$peak final_instances=$final"
  why=$(plain "$why")
  [[ $result == PASS ]] && why=""
  cat >"$dir/result.json" <<JSON
{"result": "$result", "why": "$why", "requests": $requests, "failed": $failed, "lost_in_flight": $lost_in_flight, "peak_instances": $peak, "final_instances": $final, "min_instances": $minimum, "peak_rps": $peak_rps, "acts": [$acts_json], "folder": "$dir"}
JSON
  echo "facts: $dir/result.json"
  if [[ $result == PASS ]]; then
    echo "demo: PASS $facts"
    exit 0
  fi
  echo "logs: $dir"
  echo "demo: FAIL $why ($facts)"
  exit 1
}

settings() {
  local step seconds
  [[ $peak_rps =~ ^[1-9][0-9]{0,4}$ ]] || { echo "DEMO_PEAK_RPS must be a number of requests/s, not '$peak_rps'" >&2; exit 2; }
  for act in $acts; do
    [[ $act == [0-4] ]] || { echo "DEMO_ACTS must name acts by number, such as '1 3', or be 0 for none, not '$acts'" >&2; exit 2; }
  done
  # SECONDS:RPS,...: up to the peak at once, down in two steps.
  schedule=${DEMO_SCHEDULE:-8:$base_rps,20:$peak_rps,12:$((peak_rps / 2)),10:$base_rps}
  [[ $schedule =~ ^([0-9]+:[0-9]+,?)+$ ]] || { echo "DEMO_SCHEDULE must be SECONDS:RPS,... in whole numbers, not '$schedule'" >&2; exit 2; }
  schedule_seconds=0
  for step in ${schedule//,/ }; do schedule_seconds=$((schedule_seconds + ${step%:*})); done
}

ride() {  # the load goes up and down, and the fleet follows
  echo "demo: $minimum instances serve; the load is $schedule (seconds:requests/s)"
  steer "$base_rps"
  start load "$build/demo/demo-load" --port "$load_ports" --schedule "$schedule" \
    --steer "$dir/load.steer" --out "$dir/load.jsonl" --summary "$dir/load.json"
  header
  until seconds_passed "$schedule_seconds"; do sleep 0.2; observe; done
  await 60 capacity_is "$minimum" || fail "$ready of $desired instances serve $base_rps requests/s, not the service's min of $minimum"
  explain_step
}

finale() {  # the load falls, and ends once the fleet has followed
  ((load_failed == lost_in_flight)) || fail "$((load_failed - lost_in_flight)) requests failed"
  if [[ -n $acts_json ]]; then
    printf '\n--- the load falls back to %d requests/s\n' "$base_rps"
    header
  fi
  steer "$base_rps"
  await 60 capacity_is "$minimum"
  steer end
  local bound=$((SECONDS + 30))
  while alive load; do
    ((SECONDS < bound)) || fail "the load did not end: $(last_words load)"
    sleep 0.1
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
  failed=$(($(field failed <"$dir/load.json") - lost_in_flight))
  read_capacity
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
  more load   $build/demo/demo-load --port $load_ports --schedule 60:500
  status      $build/bin/autoscalectl --socket $dir/control.sock status
  why         $build/bin/autoscalectl --socket $dir/control.sock explain web
  a policy    edit $dir/policies/requests_per_instance.lua, then
              $build/bin/autoscalectl --socket $dir/control.sock reload
  a crash     kill -9 $daemon_pid: the backends and nginx carry on; start it again, and end it
              with Ctrl-C before you stop the rest:
              $build/bin/autoscaled --config $dir/autoscaled.yaml
  service     http://127.0.0.1:$first_port/
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

settings
prepare
echo "demo: starting two nginx, Prometheus and autoscaled in $dir"
start_parts
ride
for act in $acts; do ((act == 0)) || "act_$act"; done
finale
judge
