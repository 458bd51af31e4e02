# SPDX-License-Identifier: Apache-2.0
#
# The loops that peaks are measured with, once per instruction set, in objects as self-contained as the implementations'.

set(declarations "")
set(entries "")
foreach(isa IN LISTS CONVBWD_ISAS)
  if(CONVBWD_FLAGS_${isa} AND NOT CONVBWD_COMPILER_KNOWS_${isa})
    continue()
  endif()
  set(symbol convbwd_peak_loops_${isa})
  conv_isa_object(peak_loops ${isa} ${symbol} support/loops/peak_loops.cpp)
  target_include_directories(impl_peak_loops_${isa} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(impl_peak_loops_${isa} PRIVATE CONVBWD_PEAK_LOOPS=${symbol})
  list(APPEND loop_objects ${CMAKE_CURRENT_BINARY_DIR}/peak_loops.${isa}.o)
  string(APPEND declarations "extern const convbwd::support::PeakLoops ${symbol};\n")
  list(APPEND entries "&${symbol}")
endforeach()
list(JOIN entries ", " entries)
configure_file(support/loops/list.cpp.in ${generated}/support/loops_list.cpp @ONLY)
target_sources(convbwd_bench_support PRIVATE ${generated}/support/loops_list.cpp)
add_custom_target(convbwd_peak_loops DEPENDS ${loop_objects})
add_dependencies(convbwd_bench_support convbwd_peak_loops)
target_link_libraries(convbwd_bench_support PUBLIC ${loop_objects})
