# cmake -DOUT=FILE.cpp -DPOLICIES=a.lua;b.lua -DMODULES=c.lua -P embed.cmake
# Writes the tables that shipped.cpp looks in: name and text of each file.
set(text "// Written by embed.cmake.\n#include \"policies/shipped.h\"\n\nnamespace autoscale {\n")

function(add_table name prefix)
  string(APPEND text "\nextern const ShippedFile ${name}[] = {\n")
  foreach(path IN LISTS ARGN)
    get_filename_component(stem "${path}" NAME_WE)
    file(READ "${path}" content)
    string(APPEND text "    {\"${prefix}${stem}\", R\"shipped(${content})shipped\"},\n")
  endforeach()
  list(LENGTH ARGN count)
  string(APPEND text "};\nextern const unsigned ${name}Count = ${count};\n")
  set(text "${text}" PARENT_SCOPE)
endfunction()

add_table(kShippedPolicies "" ${POLICIES})
add_table(kShippedModules "autoscale." ${MODULES})
string(APPEND text "\n}  // namespace autoscale\n")
file(WRITE "${OUT}" "${text}")
