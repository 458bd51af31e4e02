# SPDX-License-Identifier: Apache-2.0
#
# What the binaries know about their own build: compiler and flags when configured, commit when built.

get_directory_property(CONVBWD_ISAS DIRECTORY ${PROJECT_SOURCE_DIR}/impls DEFINITION CONVBWD_ISAS)
get_directory_property(options COMPILE_OPTIONS)
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
set(CONVBWD_FLAG_FACTS "")
foreach(isa IN LISTS CONVBWD_ISAS)
  get_directory_property(CONVBWD_FLAGS_${isa} DIRECTORY ${PROJECT_SOURCE_DIR}/impls DEFINITION CONVBWD_FLAGS_${isa})
  set(flags "-std=c++${CMAKE_CXX_STANDARD} ${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${build_type}}")
  list(JOIN options " " warnings)
  list(JOIN CONVBWD_FLAGS_${isa} " " isa_flags)
  string(APPEND flags " ${OpenMP_CXX_FLAGS} ${warnings} ${isa_flags}")
  string(REGEX REPLACE "-W[^ ]*" "" flags "${flags}")
  string(REGEX REPLACE " +" " " flags "${flags}")
  string(STRIP "${flags}" flags)
  string(APPEND CONVBWD_FLAG_FACTS "    {\"flags_${isa}\", \"${flags}\"},\n")
endforeach()
set(generated ${CMAKE_CURRENT_BINARY_DIR}/generated)
configure_file(support/build_info.h.in ${generated}/support/build_info.h @ONLY)
add_custom_target(convbwd_commit
  COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${CMAKE_SOURCE_DIR} -DOUTPUT=${generated}/support/commit.h
          -P ${CMAKE_CURRENT_SOURCE_DIR}/support/commit.cmake
  BYPRODUCTS ${generated}/support/commit.h
  COMMENT "Looking at the commit")
add_dependencies(convbwd_bench_support convbwd_commit)
target_include_directories(convbwd_bench_support PRIVATE ${generated})
# Libraries whose version is in the results: CONVBWD_HAS_<name> says that there is one.
foreach(library IN ITEMS DNNL::dnnl OpenBLAS::OpenBLAS BLIS::BLIS LIBXSMM::LIBXSMM)
  if(TARGET ${library})
    string(REGEX REPLACE "::.*" "" name ${library})
    string(TOUPPER ${name} name)
    target_compile_definitions(convbwd_bench_support PRIVATE CONVBWD_HAS_${name})
    target_link_libraries(convbwd_bench_support PRIVATE ${library})
  endif()
endforeach()
