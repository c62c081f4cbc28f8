// Programs under test: started with pipes or files, read line by line, and never waited for without a limit. Whatever
// goes wrong here is a failed assertion, after which the program still running is killed by process_kill_all.
#ifndef PROCESS_SUPPORT_H
#define PROCESS_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_SECONDS 60  // limit of every wait

enum { PROCESS_NULL = -1, PROCESS_PIPE = -2 };  // instead of a descriptor

typedef struct process {
    pid_t pid;
    int in, out;      // our ends of pipes; -1: none
    int err;          // our end
    char text[8192];  // of standard error so far, terminated, cut
    size_t text_len;
} process;

// `words` ends with null; words[0] is the program's path. `in` and `out` are descriptors (not closed), PROCESS_NULL or
// PROCESS_PIPE. Standard error is always a pipe.
void process_start(process *p, const char *const words[], int in, int out);

// The word after `mark` on standard error, as soon as it is there with the end of its line. It stays valid until the
// next call.
const char *process_word(process *p, const char *mark);

// Waits for the end: the exit status, 128 + the signal if one ended it. p->text then has all of standard error.
int process_wait(process *p);
void process_signal(process *p, int number);

// Kills and forgets what runs: for tear-down.
int process_kill_all(void **state);

// Reads to the end of a descriptor at most `room` bytes: their number.
size_t process_read_all(int fd, void *out, size_t room);
void process_write_all(int fd, const void *bytes, size_t len);

#endif
