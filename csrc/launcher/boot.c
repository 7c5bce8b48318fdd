// SPDX-License-Identifier: Apache-2.0
/* The boot program: the embedded interpreter started cold, with the C library's malloc. Needs no
 * dump. */
#include "interpreter.h"

int main(int argc, char **argv)
{
	refuse_privileged_file();
	process_prepare();
	interpreter_start();
	run_and_exit(argc, argv, "boot");
}
