/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded interpreter (interpreter.c), as both main programs use it: boot.c and undumped.c. */
#ifndef PYRUNC_INTERPRETER_H
#define PYRUNC_INTERPRETER_H

#include <stdbool.h>
#include <stdint.h>

void interpreter_start(void);
void interpreter_train(void);
void interpreter_rehearse(void (*next_command)(bool is_called_often));
void interpreter_make_immortal(uintptr_t end);
void interpreter_reattach(void);
void refuse_privileged_file(void);
void process_prepare(void);
_Noreturn void run_and_exit(int argc, char **argv, const char *front_end);
_Noreturn void die(const char *what);

#endif
