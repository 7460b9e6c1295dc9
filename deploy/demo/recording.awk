# Turns what `make demo` printed into an animated SVG: a terminal that plays the run twelve times as
# fast, then shows the end for a while.
#
#   make demo | tee demo.log; awk -f deploy/demo/recording.awk demo.log >docs/demo.svg

BEGIN {
  rows = 32; columns = 100; line_height = 17; speed = 12; hold = 12
  clock = 0; count = 0; last = 0
}

# Building is not part of the show.
/^demo: starting/ { begun = 1 }
begun && !ended {
  # Lines of the table and of the story carry their own time; all others follow the one before.
  if (match($0, /^ *[0-9]+:[0-9][0-9] /)) {
    split($1, part, ":")
    second = part[1] * 60 + part[2]
    clock += (second - last) / speed
    last = second
  } else {
    clock += $0 ~ /^ *$/ ? 0 : 0.05
  }
  gsub(/\/[^ ]*\/build/, "build")
  gsub(/&/, "\\&amp;"); gsub(/</, "\\&lt;"); gsub(/>/, "\\&gt;")
  text[++count] = $0; at[count] = clock
  if ($0 ~ /^demo: (PASS|FAIL)/) ended = 1
}

END {
  total = clock + hold
  width = columns * 8 + 24; height = rows * line_height + 44
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", \
    width, height, width, height
  print "<style>"
  print "text { font: 13px ui-monospace, 'DejaVu Sans Mono', Menlo, monospace; fill: #d6deeb; white-space: pre; }"
  print ".good { fill: #7fd17f; font-weight: bold; } .head { fill: #8fb8de; } .bad { fill: #e0655f; }"
  printf "#page { animation: scroll %.1fs steps(1) infinite; }\n", total
  print "@keyframes scroll {"
  for (i = 1; i <= count; i++) {
    above = i > rows ? i - rows : 0
    printf "%.2f%% { transform: translateY(%dpx); }\n", 100 * at[i] / total, -above * line_height
  }
  print "}"
  for (i = 1; i <= count; i++) {
    printf "#l%d { animation: a%d %.1fs steps(1) infinite; }\n", i, i, total
    printf "@keyframes a%d { 0%% { opacity: 0; } %.2f%% { opacity: 1; } }\n", i, 100 * at[i] / total
  }
  print "</style>"
  printf "<rect width=\"%d\" height=\"%d\" rx=\"8\" fill=\"#10161f\"/>\n", width, height
  print "<circle cx=\"18\" cy=\"16\" r=\"5\" fill=\"#e0655f\"/><circle cx=\"36\" cy=\"16\" r=\"5\" fill=\"#e0b95f\"/><circle cx=\"54\" cy=\"16\" r=\"5\" fill=\"#6fbf6f\"/>"
  printf "<clipPath id=\"screen\"><rect x=\"0\" y=\"30\" width=\"%d\" height=\"%d\"/></clipPath>\n", \
    width, rows * line_height + 6
  print "<g clip-path=\"url(#screen)\"><g id=\"page\">"
  for (i = 1; i <= count; i++) {
    style = text[i] ~ /^(demo|act [0-9]): *PASS/ ? " class=\"good\"" : \
            text[i] ~ /^(demo|act [0-9]): *FAIL/ || text[i] ~ /SIGKILL$|SIGKILL: / ? " class=\"bad\"" : \
            text[i] ~ /^( time|Why|Metrics|Stages|What|Policy|---)/ ? " class=\"head\"" : ""
    printf "<text id=\"l%d\" x=\"12\" y=\"%d\" xml:space=\"preserve\"%s>%s</text>\n", \
      i, 30 + i * line_height - 3, style, text[i]
  }
  print "</g></g>\n</svg>"
}
