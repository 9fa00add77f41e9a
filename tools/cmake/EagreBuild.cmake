# How every target of Eagre is built: one language level, one set of warnings, one place for the flavours.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

option(EAGRE_LTO "Link-time optimisation" OFF)
option(EAGRE_JEMALLOC "Link programs with jemalloc" OFF)
option(EAGRE_SANITIZE "AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(EAGRE_FUZZ "Build the libFuzzer targets (clang only)" OFF)

find_program(CCACHE ccache)
if(CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(URING REQUIRED IMPORTED_TARGET liburing)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(SSL REQUIRED IMPORTED_TARGET libssl)
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(FMT REQUIRED IMPORTED_TARGET fmt)
pkg_check_modules(SIMDJSON REQUIRED IMPORTED_TARGET simdjson)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(PCAP REQUIRED IMPORTED_TARGET libpcap)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(NCURSES REQUIRED IMPORTED_TARGET ncursesw)
find_program(FLATC flatc REQUIRED)

add_library(eagre_flags INTERFACE)
target_compile_options(eagre_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Werror
    -fno-strict-aliasing -fno-omit-frame-pointer
    # The oldest CPU we run on: crc32 (SSE4.2) is what the frame and journal checks are made of.
    -march=x86-64-v2)
target_include_directories(eagre_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_include_directories(eagre_flags SYSTEM INTERFACE ${CMAKE_BINARY_DIR}/generated)

set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g")
target_compile_definitions(eagre_flags INTERFACE $<$<CONFIG:Debug>:EAGRE_SLOW_CHECKS=1>)
if(EAGRE_LTO)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
    # Two cores: let the link-time back end use both instead of one.
    add_link_options(-flto=2)
endif()
if(EAGRE_SANITIZE)
    # vptr needs RTTI of every class; wire/ and dataplane/ have none.
    add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all)
    add_link_options(-fsanitize=address,undefined)
endif()
if(EAGRE_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# eagre_library(NAME [EXCEPTIONS] DEPS ...): a folder becomes a target. All *.cc of the folder (not of its
# sub-folders) belong to it. wire/ and dataplane/ build without exceptions and RTTI; control/ and tools/ say
# EXCEPTIONS because their libraries throw. DEPS is the architecture diagram: arrows go down only.
function(eagre_library NAME)
    cmake_parse_arguments(ARG "EXCEPTIONS" "" "DEPS" ${ARGN})
    file(GLOB SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
    list(FILTER SOURCES EXCLUDE REGEX "/main\\.cc$")
    if(SOURCES)
        add_library(${NAME} STATIC ${SOURCES})
        target_link_libraries(${NAME} PUBLIC eagre_flags ${ARG_DEPS})
        if(NOT ARG_EXCEPTIONS)
            target_compile_options(${NAME} PRIVATE -fno-exceptions -fno-rtti)
        endif()
    else()
        add_library(${NAME} INTERFACE)
        target_link_libraries(${NAME} INTERFACE eagre_flags ${ARG_DEPS})
    endif()
endfunction()

# eagre_program(NAME SOURCES ... DEPS ...): a program in build/PRESET/bin.
function(eagre_program NAME)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
    add_executable(${NAME} ${ARG_SOURCES})
    target_link_libraries(${NAME} PRIVATE eagre_flags ${ARG_DEPS})
    if(EAGRE_JEMALLOC)
        target_link_libraries(${NAME} PRIVATE jemalloc)
    endif()
endfunction()

# eagre_test(NAME SOURCES ... DEPS ... [TIMEOUT s] [RELEASE]): a GoogleTest program; ctest runs it as one test NAME, label unit;
# the target unit_tests builds all of them. In the sanitized build are those of wire/, dataplane/ and control/; in the release
# build those of tools/ and perf/ (RELEASE), whose libraries take minutes to sanitize and move no record; in debug, all.
add_custom_target(unit_tests)
function(eagre_test NAME)
    cmake_parse_arguments(ARG "RELEASE" "TIMEOUT" "SOURCES;DEPS" ${ARGN})
    if((EAGRE_LTO AND NOT ARG_RELEASE) OR (EAGRE_SANITIZE AND ARG_RELEASE))
        return()
    endif()
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 300)
    endif()
    add_executable(${NAME} ${ARG_SOURCES})
    target_link_libraries(${NAME} PRIVATE eagre_flags ${ARG_DEPS} gtest gmock gtest_main Threads::Threads)
    add_test(NAME ${NAME} COMMAND ${NAME})
    set_tests_properties(${NAME} PROPERTIES TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77 LABELS unit)
    add_dependencies(unit_tests ${NAME})
endfunction()
