# archway_embed(ROOM FILE INCLUDE)
# Puts a data file of the repository into a room's library: at build time FILE (relative to the top of the source) becomes INCLUDE,
# one C++ string literal with the text (the compiler reads CRLF as LF), made again whenever FILE changes. In the one source that wants it:
#
#     constexpr std::string_view kCatalogYaml =
#     #include "catalog/catalog_yaml.inc"
#         ;
#
# Run as a script (cmake -D FILE=... -D OUTPUT=... -P embed.cmake) it does the writing.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ "${FILE}" content)
  set(delimiter "archway_embed")
  string(FIND "${content}" ")${delimiter}\"" taken)
  if(NOT taken EQUAL -1)
    message(FATAL_ERROR "${FILE} contains the delimiter of the raw string that it is to become: )${delimiter}\"")
  endif()
  file(WRITE "${OUTPUT}" "R\"${delimiter}(${content})${delimiter}\"\n")
  return()
endif()

set(ARCHWAY_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")
function(archway_embed room file include)
  set(output "${CMAKE_BINARY_DIR}/embedded/${include}")
  add_custom_command(OUTPUT "${output}"
    COMMAND ${CMAKE_COMMAND} -D "FILE=${CMAKE_SOURCE_DIR}/${file}" -D "OUTPUT=${output}" -P "${ARCHWAY_EMBED_SCRIPT}"
    DEPENDS "${CMAKE_SOURCE_DIR}/${file}" "${ARCHWAY_EMBED_SCRIPT}"
    COMMENT "embedding ${file}" VERBATIM)
  target_sources(archway_${room} PRIVATE "${output}")
  target_include_directories(archway_${room} PRIVATE "${CMAKE_BINARY_DIR}/embedded")
endfunction()
