/* Preloaded, gives torch memory that does not begin where it asked: at a multiple of 16 bytes, but not of 64.

   Libraries choose kernels by the alignment of their operands, and divide the work accordingly. What must not depend
   on where memory lies is tested with memory that lies badly. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#define TORCH_ALIGNMENT 64
#define TRIES 8

int posix_memalign(void **memory, size_t alignment, size_t size) {
    void *refused[TRIES], *found = NULL;
    int tries = 0;
    if (alignment != TORCH_ALIGNMENT) {
        int (*next)(void **, size_t, size_t) = (int (*)(void **, size_t, size_t))dlsym(RTLD_NEXT, "posix_memalign");
        return next(memory, alignment, size);
    }
    while (tries < TRIES) {
        found = malloc(size + 16 * (size_t)tries);
        if (found == NULL || (uintptr_t)found % TORCH_ALIGNMENT != 0)
            break;
        refused[tries++] = found;
    }
    if (tries == TRIES)
        found = refused[--tries];
    while (tries > 0)
        free(refused[--tries]);
    *memory = found;
    return found == NULL ? ENOMEM : 0;
}
