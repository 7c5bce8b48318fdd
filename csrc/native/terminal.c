// SPDX-License-Identifier: Apache-2.0
/* Terminals of the caller: their size and their mode. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "native.h"

#define END_OF_INPUT 4 /* ^D */
#define END_TENTHS 2   /* of a second: a program that goes on reading does not spin */

int native_get_winsize(int fd, unsigned short *rows, unsigned short *columns)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0)
		return -errno;
	*rows = size.ws_row;
	*columns = size.ws_col;
	return 0;
}

int native_set_winsize(int fd, unsigned short rows, unsigned short columns)
{
	const struct winsize size = {.ws_row = rows, .ws_col = columns};

	return native_result(ioctl(fd, TIOCSWINSZ, &size));
}

int native_terminal_state_size(void)
{
	return (int)sizeof(struct termios);
}

/*
 * Every byte goes to the container as typed; the former state is saved for terminal_restore. With
 * `lines` what is written to the terminal stays text: others write to it, not the container.
 */
int native_terminal_raw(int fd, int lines, uint8_t *saved)
{
	struct termios state;
	tcflag_t output;

	if (tcgetattr(fd, &state) < 0)
		return -errno;
	memcpy(saved, &state, sizeof(state));
	output = state.c_oflag & OPOST;
	cfmakeraw(&state);
	if (lines)
		state.c_oflag |= output;
	return native_result(tcsetattr(fd, TCSANOW, &state));
}

/* A line ends in LF alone: whoever reads the other end is no terminal. */
int native_terminal_plain(int fd)
{
	struct termios state;

	if (tcgetattr(fd, &state) < 0)
		return -errno;
	state.c_oflag &= ~(tcflag_t)ONLCR;
	return native_result(tcsetattr(fd, TCSANOW, &state));
}

/*
 * The byte that tells a program the end of its input, seen from the master; 0: it needs none. In a
 * mode without lines (NATIVE_END_RAW) only line editors take it for the end. So with `exhausted`
 * a read there ends empty when nothing has come for a while, and the byte ends one that has begun.
 */
int native_terminal_end(int fd, int exhausted)
{
	struct termios state;

	if (tcgetattr(fd, &state) < 0)
		return -errno;
	if ((state.c_lflag & ICANON) != 0)
		return state.c_cc[VEOF];
	if (!exhausted)
		return NATIVE_END_RAW | END_OF_INPUT;
	if (state.c_cc[VMIN] == 0)
		return NATIVE_END_RAW;
	state.c_cc[VMIN] = 0;
	state.c_cc[VTIME] = END_TENTHS;
	return tcsetattr(fd, TCSANOW, &state) < 0 ? -errno : NATIVE_END_RAW | END_OF_INPUT;
}

int native_terminal_restore(int fd, const uint8_t *saved)
{
	struct termios state;

	memcpy(&state, saved, sizeof(state));
	return native_result(tcsetattr(fd, TCSANOW, &state));
}
