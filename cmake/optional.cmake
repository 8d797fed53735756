# Halide and oneDNN, each optional: sets QLOOM_WITH_HALIDE and QLOOM_WITH_ONEDNN. Both are looked for where CMake looks and in
# the Python environment of cmake/setup.sh (build/venv), where their wheels put headers, library and CMake package.
file(GLOB halide_hints ${PROJECT_SOURCE_DIR}/build/venv/lib/python3*/site-packages/halide/lib64/cmake)

function(qloom_optional option package version hints result)
  set(${result} OFF PARENT_SCOPE)
  if(NOT "${${option}}" MATCHES "^(AUTO|ON|OFF)$")
    message(FATAL_ERROR "${option} is '${${option}}': AUTO, ON or OFF")
  endif()
  if("${${option}}" STREQUAL OFF)
    message(STATUS "${package}: off")
    return()
  endif()
  find_package(${package} ${version} CONFIG QUIET GLOBAL HINTS ${hints})
  if(${package}_FOUND)
    message(STATUS "${package}: ${${package}_VERSION}, ${${package}_DIR}")
    set(${result} ON PARENT_SCOPE)
  elseif("${${option}}" STREQUAL ON)
    message(FATAL_ERROR "${option} is ON and CMake finds no ${package} ${version}; cmake/setup.sh installs it")
  else()
    message(STATUS "${package}: not found; built without it")
  endif()
endfunction()

set(HalideHelpers_ROOT ${halide_hints})
qloom_optional(QLOOM_HALIDE Halide 21 "${halide_hints}" QLOOM_WITH_HALIDE)
qloom_optional(QLOOM_ONEDNN dnnl 3 ${PROJECT_SOURCE_DIR}/build/venv QLOOM_WITH_ONEDNN)

# The plug-ins that there are, for the tests that need them.
set(QLOOM_OPTIONAL_PLUGINS "")
if(QLOOM_WITH_HALIDE)
  list(APPEND QLOOM_OPTIONAL_PLUGINS qloom_halide)
endif()
