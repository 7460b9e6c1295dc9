# The acts: something of the demo is killed, and autoscaled has to do the right thing. Sourced by run.sh.
#
# Each act says what is about to break and what a naive autoscaler would make of it, breaks it, and
# ends in one line: "act N: PASS what was seen", or FAIL with what was seen instead, which ends the demo.

steady=4             # instances that the acts' load needs
hold_seconds=14      # of the load; longer than the window after which fewer instances would be decided
act_names=("" "an exporter is killed" "Prometheus is killed" "a backend is killed" "autoscaled is killed")

rps_for() {  # rps_for INSTANCES: a load that needs so many, whatever chance does
  echo $(($1 * target_rps - target_rps / 2))
}

begin_act() {
  act=$1
  local line
  printf '\n--- act %d: %s\n' "$act" "${act_names[act]}"
  shift
  for line in "$@"; do echo "    $line"; done
  header
}

# end_act PASS|FAIL WHAT: the verdict of the act
end_act() {
  local verdict=$1
  shift
  local text="act $act (${act_names[act]}): $*"
  echo "act $act: $verdict  $*"
  acts_json+="${acts_json:+, }{\"act\": $act, \"name\": \"${act_names[act]}\", \"verdict\": \"$verdict\", \"seen\": \"$(plain "$*")\"}"
  [[ $verdict == PASS ]] || fail "$text"
}

expect() {  # expect SECONDS WHAT CHECK...: waits for CHECK, or ends the act: "WHAT, but not within SECONDS s"
  local seconds=$1 what=$2
  shift 2
  await "$seconds" "$@" && return
  read_capacity
  find_backends
  end_act FAIL "$what: not within $seconds s; desired $desired, ready $ready, ${#backends[@]} running; $(ctl status web 2>&1 |
    sed -n 's/^  \(state\|last reason\)  */\1: /p' | paste -sd ';')"
}

# to_load_of INSTANCES: steers the load there and waits until it is seen and has the capacity it needs.
to_load_of() {
  local rps
  rps=$(rps_for "$1")
  steer "$rps"
  expect 60 "$1 instances should serve $rps requests/s" capacity_is "$1"
  expect 60 "the policy should see $rps requests/s" seen_at_least $((rps * 5 / 6))
}

load_for() {  # load_for SECONDS: the table goes on for so long, on the load's own clock
  await 600 seconds_passed $((seconds_seen + $1))
}

# hold_for SECONDS MOVES: ends the act if there is a decision for another capacity before so many seconds
# of the load have passed; MOVES is their number so far.
hold_for() {
  local until=$((seconds_seen + $1))
  while ! seconds_passed "$until"; do
    sleep 0.1
    observe
    ((moves == $2)) || end_act FAIL "the capacity should have been held at $steady: $(last_decision)"
  done
}

no_cut_since() {  # no_cut_since CUTS
  read_capacity
  ((cuts == $1)) || end_act FAIL "the capacity should not have been cut: $(last_decision)"
}

last_decision() {
  ctl history web | awk '/ → / { $1 = $1; print; exit }'
}

explain_says() {  # the lines of `explain` that name the metric and its state
  say "autoscalectl explain web:"
  explained_metric | sed 's/^/       /'
}

no_failures() {
  ((load_failed == lost_in_flight)) || end_act FAIL "$((load_failed - lost_in_flight)) requests failed"
}

# --- 1 ---

act_1() {
  local rps moved cut
  rps=$(rps_for $steady)
  begin_act 1 "Each gateway has an exporter. One is about to die: half of $rps requests/s" \
    "vanish from sight. A naive autoscaler sees a sum that halves, without any" \
    "error, and keeps 2 of $steady instances, which manage 400 requests/s together."
  to_load_of $steady
  load_for 4
  moved=$moves cut=$cuts
  crash exporter2
  say "exporter2 got SIGKILL"
  expect 30 "explain should call 'arrivals' partial" metric_is partial
  expect 30 "Prometheus' bare sum should have halved" naive_sum_at_most $((rps * 2 / 3))
  say "the bare sum in Prometheus is now $sum/s"
  explain_says
  hold_for $hold_seconds "$moved"
  metric_is partial || end_act FAIL "'arrivals' is no longer partial although exporter2 is dead"
  start_exporter 2
  say "exporter2 is started again"
  expect 60 "the policy should see all of the load again" seen_at_least $((rps * 5 / 6))
  explain_says
  no_cut_since "$cut"
  no_failures
  end_act PASS "half of the metrics gone for $hold_seconds s: held at $steady instances; decides again"
}

# --- 2 ---

act_2() {
  local moved cut
  begin_act 2 "Prometheus is about to die. The load falls meanwhile, unseen, and comes back" \
    "before Prometheus does. A naive autoscaler reads no answer as no load, keeps" \
    "$minimum instances, and $(rps_for $steady) requests/s come back to a capacity of 400."
  to_load_of $steady
  moved=$moves cut=$cuts
  crash prometheus
  say "Prometheus got SIGKILL"
  steer "$base_rps"
  expect 30 "explain should say that 'arrivals' has an error" metric_is error
  explain_says
  hold_for $hold_seconds "$moved"
  steer "$(rps_for $steady)"
  say "the load comes back, still unseen"
  hold_for 4 "$moved"
  start_prometheus
  say "Prometheus is started again"
  expect 60 "the policy should see the load again" seen_at_least $(($(rps_for $steady) * 5 / 6))
  explain_says
  say "the load rises: does it decide again?"
  to_load_of $((steady + 1))
  no_cut_since "$cut"
  no_failures
  end_act PASS "no metrics for $((hold_seconds + 4)) s: held at $steady instances; decides again: $steady → $((steady + 1))"
}

# --- 3 ---

# confirmed_since LINE SERVING: sets `confirmed_ms`, when both gateways had confirmed a list of so many,
# as the lines of the daemon's log after LINE say.
confirmed_since() {
  local edge at
  confirmed_ms=0
  for edge in edge1 edge2; do
    at=$(tail -n "+$(($1 + 1))" "$dir/autoscaled.log" | grep -m 1 "gateway $edge confirmed list .*($2 serving)" |
      sed -n 's/.*"time":"\([^"]*\)".*/\1/p')
    [[ -n $at ]] || return 1
    at=$(($(date -d "$at" +%s%N) / 1000000))
    ((at <= confirmed_ms)) || confirmed_ms=$at
  done
}

choose_victim() {  # sets victim, victim_since, endpoint and name, of a backend
  local port since
  find_backends
  victim=${backends[0]}
  since_of "$victim" && port_of "$victim"
  victim_since=$since endpoint=127.0.0.1:$port
  name=$(ctl status web | awk -v endpoint=" $endpoint " 'index($0 " ", endpoint) { print $1 }')
}

find_replacement() {  # sets `replacement`, the backend that is not one of those before
  local pid
  find_backends
  for pid in "${backends[@]}"; do
    [[ " ${before[*]} " == *" $pid "* ]] || { replacement=$pid; return 0; }
  done
  return 1
}

answered_more_than() { (($(gateway_count requests_total "$1" 2xx) > $2)); }

# What the killed backend cost: a request was in flight there if the load saw it fail and a gateway, by
# its own account, had passed it to that backend and could not repeat it elsewhere.
# Sets `lost`.
count_losses() {  # count_losses FAILED_BEFORE REFUSED_BEFORE
  local seen=$((load_failed - $1)) refused
  refused=$(($(gateway_count requests_total "$endpoint" 5xx) - $2))
  lost=$((seen < refused ? seen : refused))
  lost_in_flight=$((lost_in_flight + lost))
  ((seen == lost)) || end_act FAIL "$seen requests failed, of which only $lost were in flight on the killed backend"
}

act_3() {
  local n=$((ready > steady ? ready : steady)) port
  local victim victim_since endpoint name before replacement refused_before retried_before retried served lost
  local failed_before=$load_failed mark killed_ms gone_ms replaced_ms confirmed_ms
  begin_act 3 "One of $n backends is about to die under $(rps_for "$n") requests/s. A naive autoscaler" \
    "looks at the load, which has not changed; requests go on being sent to a dead" \
    "port until some health checks have failed."
  to_load_of "$n"
  expect 60 "$n instances should serve, and be in the gateways' lists" settled "$n"
  choose_victim
  before=("${backends[@]}")
  refused_before=$(gateway_count requests_total "$endpoint" 5xx)
  retried_before=$(gateway_count retries_total "$endpoint")
  mark=$(wc -l <"$dir/autoscaled.log")
  killed_ms=$(now_ms)
  crash_process "$victim" "$victim_since"
  say "$name at $endpoint got SIGKILL"
  expect 60 "the gateways' lists should be without $name" confirmed_since "$mark" $((n - 1))
  gone_ms=$((confirmed_ms - killed_ms))
  expect 60 "a replacement should be in the gateways' lists" confirmed_since "$mark" "$n"
  replaced_ms=$((confirmed_ms - killed_ms))
  expect 30 "the gateways' lists and the living backends should agree" settled "$n"
  find_replacement || end_act FAIL "the backends are those from before"
  port_of "$replacement"
  served=$(gateway_count requests_total "127.0.0.1:$port" 2xx)
  expect 30 "the replacement should answer requests" answered_more_than "127.0.0.1:$port" "$served"
  say "autoscalectl history web:"
  ctl history web | grep -m 1 "$name is lost" | sed 's/^/       /'
  load_for 2
  count_losses "$failed_before" "$refused_before"
  retried=$(($(gateway_count retries_total "$endpoint") - retried_before))
  end_act PASS "out of both lists in $gone_ms ms, replaced in $replaced_ms ms;" \
    "$retried repeated, $lost lost in flight"
}

settled() { capacity_is "$1" && lists_match_backends && ((${#backends[@]} == $1)); }

# --- 4 ---

decided_more_than() { read_capacity && ((desired > $1)); }

add_identities() {  # adds PID SINCE of every backend that runs to `identities`, once
  local pid since
  find_backends
  for pid in "${backends[@]}"; do
    since_of "$pid" || continue
    [[ " ${identities[*]} " == *" $pid $since "* ]] || identities+=("$pid" "$since")
  done
}

survivors() {  # counts those of the list PID SINCE... that still run
  local count=0
  while (($# > 1)); do
    ours "$1" "$2" && count=$((count + 1))
    shift 2
  done
  echo $count
}

act_4() {
  local n=$((ready > steady ? ready : steady)) wanted decision told identities=() seen_ready kept
  wanted=$((n + 2))
  begin_act 4 "The load rises, and autoscaled is about to die as soon as it has decided, with" \
    "new backends half started. A naive autoscaler starts them twice or loses them," \
    "and has forgotten why."
  to_load_of "$n"
  add_identities
  steer "$(rps_for $wanted)"
  local bound=$((SECONDS + 60))
  until decided_more_than "$n"; do
    ((SECONDS < bound)) || end_act FAIL "it did not scale out within 60 s of a load of $(rps_for $wanted) requests/s"
    sleep 0.02
  done
  seen_ready=$ready
  daemon_expected=0
  crash daemon
  decision=$(grep '"message":"scale"' "$dir/autoscaled.log" | tail -n 1 | field decision)
  say "autoscaled got SIGKILL: decided $desired, ready $seen_ready"
  load_for 3
  add_identities
  say "nobody decides; ${#backends[@]} backends run, the gateways go on with those they know"
  start_daemon
  daemon_expected=1
  say "autoscaled is started again"
  expect 90 "$wanted instances should serve, in both lists and no others running" settled $wanted
  kept=$(survivors "${identities[@]}")
  ((kept * 2 == ${#identities[@]})) ||
    end_act FAIL "of $((${#identities[@]} / 2)) backends that ran only $kept are the same processes"
  told=$(ctl explain --decision "$decision" 2>&1 | head -n 1)
  [[ $told == "web: $n → "* ]] || end_act FAIL "explain --decision $decision no longer tells of $n → : $told"
  say "autoscalectl explain --decision $decision still says:"
  echo "       $told"
  load_for 2
  no_failures
  end_act PASS "$kept of $kept backends kept, none doubled; $wanted of $wanted serve"
}
