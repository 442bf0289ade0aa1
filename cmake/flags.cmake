# Warnings, hardening and sanitizers, as one interface target that every target of ours links.
add_library(qanat_flags INTERFACE)
target_compile_options(qanat_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
  -fstack-protector-strong -fPIE -ftrivial-auto-var-init=zero -fno-omit-frame-pointer)
target_link_options(qanat_flags INTERFACE -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack)
if(CMAKE_UNITY_BUILD)
  target_compile_options(qanat_flags INTERFACE -Wno-shadow)  # names of a file's own would shadow those of the file joined before it; the dev preset looks
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_link_options(qanat_flags INTERFACE -fuse-ld=lld)
endif()
if(QANAT_SANITIZE)
  target_compile_options(qanat_flags INTERFACE -fsanitize=${QANAT_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(qanat_flags INTERFACE -fsanitize=${QANAT_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_options(qanat_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()
if(QANAT_FUZZ)
  target_compile_options(qanat_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
