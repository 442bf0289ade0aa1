# Headers that most files include, compiled once for all of them in the builds that join sources. It saves time and nothing else: every file names what it
# uses, as the dev preset (no joining, nothing precompiled) and the check of the headers by themselves find out.
set(QANAT_STANDARD_HEADERS <algorithm> <array> <atomic> <bit> <charconv> <chrono> <cmath> <condition_variable> <cstddef> <cstdint> <cstring> <deque> <expected>
  <filesystem> <functional> <fstream> <map> <memory> <mutex> <optional> <set> <span> <sstream> <string> <string_view> <thread> <utility> <vector>)
set(QANAT_ELEMENT_HEADERS ${QANAT_STANDARD_HEADERS} [["node/node.hpp"]] [["node/log.hpp"]] [["store/store.hpp"]] [["wire/json.hpp"]])

# qanat_precompiled(<target> <what all that share them have in common: libraries and flags> <headers>...): the first target with the name compiles them.
function(qanat_precompiled target name)
  if(NOT CMAKE_UNITY_BUILD)
    return()
  endif()
  get_property(owner GLOBAL PROPERTY QANAT_PRECOMPILED_${name})
  if(owner)
    target_precompile_headers(${target} REUSE_FROM ${owner})
  else()
    target_precompile_headers(${target} PRIVATE ${ARGN})
    set_property(GLOBAL PROPERTY QANAT_PRECOMPILED_${name} ${target})
  endif()
endfunction()
