# cmake -DFILES="a;b" -DOUT=header.h -DNAME=MACRO -P digest.cmake: a header that defines MACRO as the digest of the files' content.
set(all "")
foreach(file ${FILES})
  file(SHA256 ${file} digest)
  string(APPEND all ${digest})
endforeach()
string(SHA256 all "${all}")
file(WRITE ${OUT} "#define ${NAME} \"${all}\"\n")
