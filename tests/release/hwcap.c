/* Stands in for getauxval, linked with --wrap=getauxval: tells of this processor what it has, but for WITHOUT. */
#include <sys/auxv.h>

unsigned long __real_getauxval(unsigned long type);
unsigned long __wrap_getauxval(unsigned long type);

unsigned long __wrap_getauxval(unsigned long type)
{
    return __real_getauxval(type) & ~(type == AT_HWCAP ? (unsigned long)(WITHOUT) : 0ul);
}
