// Replays a corpus without libFuzzer, so that any compiler can hold what a fuzzer once found: every argument is a file or
// a folder of files, and each is given to the target once. The empty input always comes first.
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (1 << 20)  // bytes of one file that are read
#define PATH_SIZE 4096

static bool replay_file(const char *path, uint8_t *buffer) {
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    size_t size = fread(buffer, 1, INPUT_MAX, file);
    bool ok = ferror(file) == 0;
    (void)fclose(file);
    if (!ok)
        return false;
    // An exact copy lets AddressSanitizer see a read past the end.
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (exact == NULL)
        return false;
    memcpy(exact, buffer, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return true;
}

// Returns the number of files replayed, or -1 if `path` is not a folder.
static int replay_folder(const char *path, uint8_t *buffer) {
    DIR *folder = opendir(path);
    if (folder == NULL)
        return -1;
    int count = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char name[PATH_SIZE];
        int length = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && length > 0 && length < PATH_SIZE)
            count += replay_file(name, buffer);
    }
    (void)closedir(folder);
    return count;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

int main(int argc, char **argv) {
    uint8_t *buffer = malloc(INPUT_MAX);
    if (buffer == NULL)
        return 1;
    int count = 1;
    (void)LLVMFuzzerTestOneInput(buffer, 0);
    for (int i = 1; i < argc; i++) {
        int found = replay_folder(argv[i], buffer);
        count += found >= 0 ? found : replay_file(argv[i], buffer);
    }
    free(buffer);
    printf("ok %s corpus\n%d inputs\n", base_name(argv[0]), count);
    return 0;
}
