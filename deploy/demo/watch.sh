# What the demo sees while it runs: the load, the capacity, what Prometheus and the gateways say.
# Sourced by run.sh.

# capacity: desired, ready and draining instances as the daemon's /metrics has them; `moves` are its
# decisions for more or fewer since its start, `cuts` those for fewer. Fails when it does not answer.
read_capacity() {
  local answer
  answer=$(http "$daemon_port" /metrics | awk '
    /^autoscaled_service_desired_instances\{/ { desired = $2; found = 1 }
    /^autoscaled_service_ready_instances\{/ { ready = $2 }
    /^autoscaled_service_draining_instances\{/ { draining = $2 }
    /^autoscaled_decisions_(out|in)_total / { moves += $2 }
    /^autoscaled_decisions_in_total / { cuts = $2 }
    END { if (found) print desired + 0, ready + 0, draining + 0, moves + 0, cuts + 0 }')
  [[ -n $answer ]] || return 1
  read -r desired ready draining moves cuts <<<"$answer"
  ((ready <= peak)) || peak=$ready
}

capacity_is() { read_capacity && [[ $desired -eq $1 && $ready -eq $1 && $draining -eq 0 ]]; }

# --- the table ---

header() {
  printf '\n%5s  %8s  %8s  %-20s %-7s %9s %7s\n' time "req/s" "answered" "instances (# ready)" "ready" "p95" failed
}

bar() {  # ready #, starting +, draining -
  local text=""
  printf -v text '%*s' "$ready" ""; text=${text// /#}
  local more; printf -v more '%*s' "$((desired > ready ? desired - ready : 0))" ""; text+=${more// /+}
  printf -v more '%*s' "$draining" ""; text+=${more// /-}
  echo "$text"
}

row() {  # row LINE: of the second that LINE of load.jsonl tells of
  local instances="(no daemon)" counts="-"
  ((daemon_answers)) && { instances=$(bar); printf -v counts '%3d/%-3d' "$ready" "$desired"; }
  printf '%2d:%02d  %8d  %8d  %-20s %-7s %6.0f ms %7d\n' $((t / 60)) $((t % 60)) "$(field arrived <<<"$1")" \
    "$(field succeeded <<<"$1")" "$instances" "$counts" "$(field p95_ms <<<"$1")" "$load_failed"
}

# Takes in what happened since the last call, and prints a line for every second second. Sets `t`, the
# load's time in seconds, and requests and load_failed, those of so far.
observe() {
  local lines line counts
  alive load || fail "the load ended in the middle: $(last_words load)"
  ((daemon_expected)) && ! alive daemon && fail "autoscaled ended in the middle: $(last_words daemon)"
  lines=$(wc -l <"$dir/load.jsonl" 2>/dev/null || echo 0)
  ((lines > seconds_seen)) || return 0
  line=$(sed -n "${lines}p" "$dir/load.jsonl")
  counts=$(awk -F'[:,]' '
    { for (i = 1; i < NF; i++) if ($i == "\"arrived\"") all += $(i + 1); else if ($i == "\"failed\"") bad += $(i + 1) }
    END { print all + 0, bad + 0 }' "$dir/load.jsonl")
  [[ -n $counts ]] && read -r requests load_failed <<<"$counts"
  read_capacity && daemon_answers=1 || daemon_answers=0
  ((lines / 2 > seconds_seen / 2)) && row=1 || row=0
  seconds_seen=$lines
  t=$(field t <<<"$line")
  ((row == 0)) || row "$line"
}

say() {  # a line of the story, at the load's time
  printf '%2d:%02d  %s\n' $((t / 60)) $((t % 60)) "$*"
}

# await SECONDS CHECK...: the table goes on until CHECK holds; false when it does not in time.
await() {
  local bound=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < bound)) || return 1
    observe
    sleep 0.1
  done
}

seconds_passed() { ((seconds_seen >= $1)); }  # on the load's own clock

steer() {  # steer RPS|end: what the load is to be from its next second on
  echo "$1" >"$dir/load.steer.new" && mv "$dir/load.steer.new" "$dir/load.steer"
}

# --- what others say ---

explained_metric() {  # the two lines of `explain` that tell of the metric
  ctl explain web 2>/dev/null | awk '/^  NAME / { head = $0 } /^  arrivals / { print head; print; exit }'
}

metric_is() {  # metric_is STATE...: as `explain` says
  local line state
  line=$(explained_metric | sed -n 2p)
  for state in "$@"; do [[ $line == *" $state "* ]] && return 0; done
  return 1
}

# seen_at_least RPS: does the policy see such a load?
seen_at_least() {
  local value
  value=$(explained_metric | sed -n '2s,^ *arrivals *\([0-9]*\)[0-9.]*/s .*,\1,p')
  ((${value:-0} >= $1))
}

# naive_sum: sets `sum`, what Prometheus answers to the bare query, in requests/s; 0 for no answer.
naive_sum() {
  local query='sum(rate(autoscaled_gateway_arrivals_total%5B2s%5D))'
  sum=$(http "$prometheus_port" "/api/v1/query?query=$query" | sed -n 's/.*"value":\[[^,]*,"\([0-9]*\).*/\1/p')
  sum=${sum:-0}
}

naive_sum_at_most() { naive_sum; ((sum > 0 && sum <= $1)); }

# gateway_count NAME ENDPOINT [CLASS]: of both gateways together
gateway_count() {
  local port
  for port in "$exporter1_port" "$exporter2_port"; do http "$port" /metrics; done | awk -v name="autoscaled_gateway_$1" \
    -v endpoint="endpoint=\"$2\"" -v class="${3:+class=\"$3\"}" '
    index($0, name "{") == 1 && index($0, endpoint) && (class == "" || index($0, class)) { sum += $2 }
    END { print sum + 0 }'
}

# Does each gateway's own list, as it keeps it on disk, name the living backends and nothing else?
lists_match_backends() {
  local edge pid port listed running
  find_backends
  running=$(for pid in "${backends[@]}"; do port_of "$pid"; echo "$port"; done | sort -n)
  for edge in edge1 edge2; do
    listed=$(tr '{' '\n' <"$dir/$edge/lists/web.json" | sed -n '/"serving"/s/.*"port":\([0-9]*\).*/\1/p' | sort -n)
    [[ -n $listed && $listed == "$running" ]] || return 1
  done
}
