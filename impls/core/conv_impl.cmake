# SPDX-License-Identifier: Apache-2.0
#
# conv_impl(<folder> ISAS <isa>... [NEEDS <target> "<what to say without it>"])
#
# Compiles every source of <folder> once per instruction set and adds its rows to the generated list, in the order of
# the calls. An instruction set of another architecture is left out without a word; one that the compiler does not
# know, a folder whose library is missing, and one that is for other architectures only, stay in the list as
# "not built: reason".
#
# Each compiled folder is linked into one relocatable object in which every symbol but the exported rows is local.
# Otherwise the linker could take its copy of an inline function (any std:: template) from an object built for AVX and
# call it on a CPU that has none.

include(CheckCXXCompilerFlag)
# GNU's own, also beside clang: its lld cannot dissolve section groups.
find_program(CONVBWD_LD NAMES ld.bfd ld REQUIRED)
find_program(CONVBWD_OBJCOPY NAMES objcopy REQUIRED)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(CONVBWD_ISAS baseline avx2 avx512)
  if(CONVBWD_SANITIZE)
    # Sanitizers see what runs, and unrolled kernels take them minutes to compile.
    file(STRINGS /proc/cpuinfo here REGEX avx512 LIMIT_COUNT 1)
    if(NOT here)
      list(REMOVE_ITEM CONVBWD_ISAS avx512)
    endif()
  endif()
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(CONVBWD_ISAS baseline neon)
else()
  set(CONVBWD_ISAS baseline)
endif()
set(CONVBWD_FLAGS_baseline "")
set(CONVBWD_FLAGS_avx2 -mavx2 -mfma)
# The width is that of loops the compiler vectorises by itself; intrinsics do not care. With 512 the dot products of short
# rows are mostly tails: reordered, Zen 4, ResNet-50's 3x3 layers, GFLOP/s with 256 | 512 | 128:
#   56 wide: dx 27.8 | 27.5 | 18.9   dw 23.0 | 17.5 | 22.1     14 wide: dx 10.5 | 9.7 | 10.2   dw 7.1 | 5.2 | 8.5
set(CONVBWD_FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mprefer-vector-width=256)
if(CONVBWD_LOWERED)
  # What a compiler makes of vectors of sixteen lanes where there are eight: proves the code of avx512 on CPUs without it.
  set(CONVBWD_FLAGS_avx512 ${CONVBWD_FLAGS_avx2} -DCONVBWD_SIXTEEN_LANES -Wno-psabi)
endif()
set(CONVBWD_FLAGS_neon -Wno-psabi)  # gcc notes that versions before 10 passed pairs of vectors otherwise

set_property(GLOBAL PROPERTY CONVBWD_DECLARATIONS "")
set_property(GLOBAL PROPERTY CONVBWD_ENTRIES "")
set_property(GLOBAL PROPERTY CONVBWD_OBJECTS "")

function(_conv_list_not_built folder reason)
  set_property(GLOBAL APPEND_STRING PROPERTY CONVBWD_ENTRIES
    "    {\"${folder}\", Isa::baseline, nullptr, \"${reason}\"},\n")
  message(STATUS "${folder}: not built: ${reason}")
endfunction()

# conv_isa_object(<name> <isa> <symbol> <source>...): target impl_<name>_<isa>, and from it <name>.<isa>.o in the current
# binary directory, in which every symbol but that one is local.
function(conv_isa_object name isa symbol)
  set(target impl_${name}_${isa})
  add_library(${target} OBJECT ${ARGN})
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/..)
  # Static data of inline functions would be "unique" symbols, which no tool makes local.
  target_compile_options(${target} PRIVATE ${CONVBWD_FLAGS_${isa}} $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
  target_compile_definitions(${target} PRIVATE CONVBWD_ISA=${isa})
  target_link_libraries(${target} PRIVATE OpenMP::OpenMP_CXX)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.${isa}.o)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CONVBWD_LD} -r --force-group-allocation -o ${object}.all $<TARGET_OBJECTS:${target}>
    COMMAND ${CONVBWD_OBJCOPY} --keep-global-symbol=${symbol} ${object}.all ${object}
    DEPENDS ${target} $<TARGET_OBJECTS:${target}>
    COMMAND_EXPAND_LISTS VERBATIM
    COMMENT "Making ${name}.${isa}.o self-contained")
endfunction()

function(conv_impl folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "ISAS;NEEDS")
  set(library "")
  if(arg_NEEDS)
    list(GET arg_NEEDS 0 library)
    list(GET arg_NEEDS 1 without)
    if(NOT TARGET ${library})
      _conv_list_not_built(${folder} "${without}")
      return()
    endif()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp")
  set(other_architecture TRUE)
  foreach(isa IN LISTS arg_ISAS)
    if(NOT isa IN_LIST CONVBWD_ISAS)
      continue()
    endif()
    set(other_architecture FALSE)
    if(CONVBWD_FLAGS_${isa})
      string(REPLACE ";" " " flags "${CONVBWD_FLAGS_${isa}}")
      check_cxx_compiler_flag("${flags}" CONVBWD_COMPILER_KNOWS_${isa})
      if(NOT CONVBWD_COMPILER_KNOWS_${isa})
        _conv_list_not_built(${folder} "the compiler does not know ${flags}")
        continue()
      endif()
    endif()
    set(symbol convbwd_rows_${folder}_${isa})
    conv_isa_object(${folder} ${isa} ${symbol} ${sources})
    target_compile_definitions(impl_${folder}_${isa} PRIVATE CONVBWD_ROWS_SYMBOL=${symbol})
    target_link_libraries(impl_${folder}_${isa} PRIVATE ${library})
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${folder}.${isa}.o)
    set_property(GLOBAL APPEND PROPERTY CONVBWD_OBJECTS ${object})
    if(library)
      set_property(GLOBAL APPEND PROPERTY CONVBWD_LIBRARIES ${library})
    endif()
    set_property(GLOBAL APPEND_STRING PROPERTY CONVBWD_DECLARATIONS "extern const convbwd::Rows ${symbol};\n")
    set_property(GLOBAL APPEND_STRING PROPERTY CONVBWD_ENTRIES
      "    {\"${folder}\", Isa::${isa}, &${symbol}, {}},\n")
  endforeach()
  if(other_architecture)
    list(JOIN arg_ISAS ", " isas)
    _conv_list_not_built(${folder} "${isas} is not of ${CMAKE_SYSTEM_PROCESSOR}")
  endif()
endfunction()

# The library that tests and benchmarks link: core, the generated list, and every implementation.
function(conv_impl_finish target)
  foreach(name DECLARATIONS ENTRIES OBJECTS LIBRARIES)
    get_property(CONVBWD_${name} GLOBAL PROPERTY CONVBWD_${name})
  endforeach()
  configure_file(core/registry.cpp.in ${CMAKE_CURRENT_BINARY_DIR}/registry_list.cpp @ONLY)
  add_library(${target} STATIC core/registry.cpp ${CMAKE_CURRENT_BINARY_DIR}/registry_list.cpp)
  add_custom_target(${target}_objects DEPENDS ${CONVBWD_OBJECTS})
  add_dependencies(${target} ${target}_objects)
  target_link_libraries(${target} PUBLIC convbwd_core ${CONVBWD_OBJECTS} ${CONVBWD_LIBRARIES} OpenMP::OpenMP_CXX)
endfunction()
