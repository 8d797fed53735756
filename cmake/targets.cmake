# The kinds of target that this project has. Each takes an explicit list of sources, one a line; an empty list is allowed
# while a folder has nothing yet.

# What every target of ours is compiled with. Nothing is set directory-wide.
add_library(qloom_options INTERFACE)
target_compile_features(qloom_options INTERFACE cxx_std_20)
target_compile_options(qloom_options INTERFACE
  -Wall -Wextra -Werror
  -ffp-contract=off  # a*b+c rounds twice, as in the reference: results must not depend on the compiler's taste
  # clang warns of what g++ 12's own std::stable_sort calls; the builds with g++ keep that warning.
  $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>)
target_include_directories(qloom_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/gen)
target_link_options(qloom_options INTERFACE -Wl,--as-needed)
if(QLOOM_SANITIZE)
  # With sanitizers g++ 12 warns of variables that are always set; the other builds keep that warning.
  target_compile_options(qloom_options INTERFACE -fsanitize=${QLOOM_SANITIZE} -fno-sanitize-recover=all
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(qloom_options INTERFACE -fsanitize=${QLOOM_SANITIZE})
endif()

# ccache, where it is installed: paths below the checkout are hashed relative, so that clones share results.
find_program(QLOOM_CCACHE ccache)
if(QLOOM_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${QLOOM_CCACHE})
endif()

# qloom_folder(TARGET <target> SOURCES <files…> [LIBRARIES <libraries…>])
# One folder's part of libqloom.so: objects, compiled once. LIBRARIES are private to the library.
function(qloom_folder)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "TARGET" "SOURCES;LIBRARIES")
  if(NOT arg_SOURCES)
    add_library(${arg_TARGET} INTERFACE)
    return()
  endif()
  add_library(${arg_TARGET} OBJECT ${arg_SOURCES})
  set_target_properties(${arg_TARGET} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(${arg_TARGET} PRIVATE qloom_options ${arg_LIBRARIES})
endfunction()

# qloom_plugin(TARGET <target> SOURCES <files…> [LIBRARIES <libraries…>])
# lib<target>.so, loaded by name with qloom::Plugin only when it is needed: what it links costs time and memory to load.
function(qloom_plugin)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "TARGET" "SOURCES;LIBRARIES")
  add_library(${arg_TARGET} MODULE ${arg_SOURCES})
  target_link_libraries(${arg_TARGET} PRIVATE qloom_options qloom_lib ${arg_LIBRARIES})
endfunction()

# qloom_executable(TARGET <name> SOURCES <files…> [LIBRARIES <libraries…>])
function(qloom_executable)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "TARGET" "SOURCES;LIBRARIES")
  if(NOT arg_SOURCES)
    return()
  endif()
  add_executable(${arg_TARGET} ${arg_SOURCES})
  target_link_libraries(${arg_TARGET} PRIVATE qloom_options qloom_lib ${arg_LIBRARIES})
endfunction()

# qloom_test(FOLDER <name> SOURCES <files…> [LIBRARIES <libraries…>] [PLUGINS <targets…>])
# The tests of one folder: qloom-test-<name>, each test known to ctest as <name>/Suite.Test with the labels <name> and `fast`,
# or `long` when the suite's name contains `Long`. PLUGINS are built first, since they are loaded by name.
function(qloom_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "FOLDER" "SOURCES;LIBRARIES;PLUGINS")
  if(NOT arg_SOURCES)
    return()
  endif()
  set(target qloom-test-${arg_FOLDER})
  qloom_executable(TARGET ${target} SOURCES ${arg_SOURCES}
    LIBRARIES qloom_test_support GTest::gtest_main ${arg_LIBRARIES})
  if(arg_PLUGINS)
    add_dependencies(${target} ${arg_PLUGINS})
  endif()
  foreach(length fast long)
    set(filter "*Long*.*")
    if(length STREQUAL fast)
      set(filter "-*Long*.*")
    endif()
    gtest_discover_tests(${target}
      TEST_PREFIX ${arg_FOLDER}/ TEST_FILTER ${filter} TEST_LIST ${target}_${length}
      DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
      PROPERTIES LABELS "${length};${arg_FOLDER}" TIMEOUT 3600)  # only for what hangs: no machine is that slow
  endforeach()
endfunction()
