// SPDX-License-Identifier: Apache-2.0
/*
 * CPython, embedded: how it is configured, what it imports, how it is called.
 *
 * Nothing of the caller's environment configures it: isolated, no site, no search path (every
 * module is frozen or linked in), UTF-8 whatever the locale says, no bytecode files.
 */
#define _GNU_SOURCE
#include <Python.h>
#define Py_BUILD_CORE
#include <internal/pycore_import.h>
#include <internal/pycore_runtime.h>
#undef Py_BUILD_CORE

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "interpreter.h"
#include "region.h"

/* The generated table of frozen modules (freeze.py). */
extern const struct _frozen pyrunc_frozen[];

/* modules.c */
void add_linked_modules(void);

#define ENTRY "_pyrunc_entry" /* entry.py */

static PyObject *entry_main, *entry_train, *entry_rehearse;
static PyThreadState *main_thread;

_Noreturn void die(const char *what)
{
	static const char prefix[] = "pyrunc: ";

	/* Nothing is left to tell a failing write to. */
	if (write(STDERR_FILENO, prefix, sizeof(prefix) - 1) < 0 ||
	    write(STDERR_FILENO, what, strlen(what)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		_exit(1);
	_exit(1);
}

static void check(PyStatus status)
{
	if (PyStatus_Exception(status))
		die(status.err_msg ? status.err_msg : "the interpreter does not start");
}

static _Noreturn void die_of_exception(const char *what)
{
	PyErr_Print();
	die(what);
}

#ifdef PYRUNC_UNDUMPED
static void *arena_alloc(void *context, size_t size)
{
	(void)context;
	return heap_pages(size);
}

static void arena_free(void *context, void *pages, size_t size)
{
	(void)context;
	(void)pages;
	(void)size;
}
#endif

#ifdef PYRUNC_UNDUMPED
enum { BOOTSTRAP_MAX = 8 };

/*
 * CPython carries some of its modules as ready-made objects in its data, all over which commands
 * would read. Made anew from marshalled code they are in the heap, where the profile finds what is
 * used: those of the library because pyrunc_frozen has them too, and is asked first. The linker
 * puts the function that would make the names in the ready-made ones known to all in place of
 * CPython's.
 */
int __wrap__Py_Deepfreeze_Init(void);
int __wrap__Py_Deepfreeze_Init(void)
{
	return 0;
}

/* The modules that start the import system: CPython asks its own table for them first. */
static void make_bootstrap_in_heap(void)
{
	static struct _frozen table[BOOTSTRAP_MAX];
	size_t count = 0;

	for (const struct _frozen *entry = pyrunc_frozen; entry->name; entry++) {
		for (const struct _frozen *theirs = _PyImport_FrozenBootstrap; theirs->name;
		     theirs++) {
			if (strcmp(entry->name, theirs->name) != 0)
				continue;
			if (count == BOOTSTRAP_MAX - 1)
				die("CPython has more modules to start with than expected");
			table[count++] = *entry;
		}
	}
	_PyImport_FrozenBootstrap = table;
}
#endif

static void preconfigure(void)
{
	PyPreConfig config;

	PyPreConfig_InitIsolatedConfig(&config);
	config.utf8_mode = 1;
#ifdef PYRUNC_UNDUMPED
	/* pymalloc keeps small objects in arenas of 1 MB; plain malloc packs them more densely:
	 * fewer pages touched. */
	config.allocator = PYMEM_ALLOCATOR_MALLOC;
#endif
	check(Py_PreInitialize(&config));
#ifdef PYRUNC_UNDUMPED
	/* Frames of Python functions are in chunks from this allocator, whatever objects use. */
	PyObjectArenaAllocator arenas = {NULL, arena_alloc, arena_free};

	PyObject_SetArenaAllocator(&arenas);
#endif
}

static void set_string(PyConfig *config, wchar_t **field, const wchar_t *value)
{
	check(PyConfig_SetString(config, field, value));
}

static void set_paths(PyConfig *config)
{
	wchar_t **const paths[] = {
		&config->home,
		&config->executable,
		&config->base_executable,
		&config->prefix,
		&config->exec_prefix,
		&config->base_prefix,
		&config->base_exec_prefix,
		&config->stdlib_dir,
	};

	/* A name with a slash is not looked for along PATH; a path that is set is not computed. */
	set_string(config, &config->program_name, L"/pyrunc");
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		set_string(config, paths[i], L"/");
	config->module_search_paths_set = 1;
}

static void initialize(void)
{
	PyConfig config;

	PyConfig_InitIsolatedConfig(&config);
	config.site_import = 0;
	config.write_bytecode = 0;
	config.install_signal_handlers = 0;
	config.pathconfig_warnings = 0;
	config.use_frozen_modules = 1;
	config.configure_c_stdio = 0;
	config.code_debug_ranges = 0;
	config.optimization_level = 2;
	config.parse_argv = 0;
	/* The order of sets and of hash tables is part of the dump; config.json, trusted, is what
	 * fills dictionaries. */
	config.use_hash_seed = 1;
	config.hash_seed = 0;
	set_string(&config, &config.filesystem_encoding, L"utf-8");
	set_string(&config, &config.filesystem_errors, L"surrogateescape");
	set_string(&config, &config.stdio_encoding, L"utf-8");
	set_string(&config, &config.stdio_errors, L"surrogateescape");
	set_paths(&config);
	check(Py_InitializeFromConfig(&config));
	PyConfig_Clear(&config);
}

/* Initialise CPython and import the application; nothing of it runs yet. */
void interpreter_start(void)
{
	PyObject *entry;

	preconfigure();
#ifdef PYRUNC_UNDUMPED
	make_bootstrap_in_heap();
#endif
	PyImport_FrozenModules = pyrunc_frozen;
	add_linked_modules();
	initialize();
	/* A process lives for some milliseconds: the cyclic collector would only cost. */
	PyGC_Disable();
	entry = PyImport_ImportModule(ENTRY);
	if (!entry)
		die_of_exception("the application does not load");
	entry_main = PyObject_GetAttrString(entry, "main");
	entry_train = PyObject_GetAttrString(entry, "train");
	entry_rehearse = PyObject_GetAttrString(entry, "rehearse");
	if (!entry_main || !entry_train || !entry_rehearse)
		die_of_exception("the application has no main");
	main_thread = PyThreadState_Get();
}

/* The identity of the thread is that of this process; interpreter_reattach sets that of the next
 * ones. */
static void forget_thread(void)
{
	main_thread->thread_id = _PyRuntime.main_thread = 0;
#ifdef PY_HAVE_THREAD_NATIVE_ID
	main_thread->native_thread_id = 0;
#endif
}

/* Run the hot paths once, so that what they fill in (caches, adapted bytecode) is in the dump; then
 * clean up. */
void interpreter_train(void)
{
	PyObject *result = PyObject_CallNoArgs(entry_train);

	if (!result)
		die_of_exception("the training pass fails");
	Py_DECREF(result);
	/* Twice: what the first pass frees may make more unreachable. (A disabled collector would
	 * do nothing.) Each empties the free lists at its end: what a command would make of a
	 * list's object would pose as one of the dump. */
	PyGC_Enable();
	PyGC_Collect();
	PyGC_Collect();
	PyGC_Disable();
	forget_thread();
}

/* What lies below `end` is part of the dump: never freed, and not written to by using it. Debian's
 * library counts references all the same (cpython/build.py). */
void interpreter_make_immortal(uintptr_t end)
{
#ifdef _Py_IsImmortal
	_Py_ImmortalBelow = end;
#else
	(void)end;
#endif
}

static PyObject *before_command(PyObject *hook, PyObject *is_called_often)
{
	void (*next_command)(bool) = (void (*)(bool))PyCapsule_GetPointer(hook, NULL);

	if (!next_command)
		return NULL;
	next_command(is_called_often == Py_True);
	Py_RETURN_NONE;
}

/* Run every hot command once more, for the profile; `next_command` is called before each. */
void interpreter_rehearse(void (*next_command)(bool is_called_often))
{
	static PyMethodDef method = {"next_command", before_command, METH_O, NULL};
	PyObject *hook = PyCapsule_New((void *)next_command, NULL, NULL);
	PyObject *function = hook ? PyCFunction_New(&method, hook) : NULL;

	if (!function || !PyObject_CallOneArg(entry_rehearse, function))
		die_of_exception("the rehearsal fails");
}

/*
 * A new process has the dumped data of the interpreter but a C library that knows nothing of it:
 * make the thread-specific key of the thread state again, and tell CPython which thread its main
 * thread is now. PyOS_AfterFork_Child would do this too, and touch 300 pages on its way. The id of
 * the thread in the kernel stays 0: only debuggers read it, and it costs a system call.
 */
void interpreter_reattach(void)
{
	Py_tss_t *key = &_PyRuntime.gilstate.autoTSSkey;

	PyThread_tss_delete(key);
	if (PyThread_tss_create(key) != 0 || PyThread_tss_set(key, main_thread) != 0)
		die("cannot restore the thread state");
	main_thread->thread_id = _PyRuntime.main_thread = PyThread_get_thread_ident();
}

/*
 * A file of root that is setuid or has capabilities would lend its caller what it does: write logs,
 * run hooks. The kernel says so (AT_SECURE), also where a caller of ours has a uid but not its
 * rights. Nothing of the caller's is looked at before.
 */
void refuse_privileged_file(void)
{
	if (getauxval(AT_SECURE) != 0)
		die("refused: it runs with more rights than its caller (setuid, setgid or file "
		    "capabilities)");
}

/*
 * What every start of the process has to do itself, since nothing before main has: the descriptors
 * 0-2 must be open, or the first file opened would pose as one of them; a write to a closed pipe is
 * an error, not the end; and a caller that ignores SIGCHLD (it is inherited) would make the kernel
 * throw away how our children end. Installed setuid, it would lend its owner's rights to whoever
 * calls it (ST-8). AT_SECURE says more than that: it is also set where a security module changes
 * domains.
 */
void process_prepare(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) < 0)
			_exit(1); /* without /dev there is nobody to tell */
	if (getauxval(AT_UID) != getauxval(AT_EUID) || getauxval(AT_GID) != getauxval(AT_EGID))
		die("it must not run setuid or setgid: the caller would get the rights of another");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
}

/* The environment as bytes: {name: value}. A malformed entry (no "=") is left out, the first of two
 * names counts. */
static PyObject *environment(void)
{
	PyObject *result = PyDict_New();

	for (char **entry = environ; result && entry && *entry; entry++) {
		const char *equals = strchr(*entry, '=');
		PyObject *name, *value;

		if (!equals)
			continue;
		name = PyBytes_FromStringAndSize(*entry, equals - *entry);
		value = PyBytes_FromString(equals + 1);
		if (!name || !value || !PyDict_SetDefault(result, name, value))
			Py_CLEAR(result);
		Py_XDECREF(name);
		Py_XDECREF(value);
	}
	return result;
}

static PyObject *decode_arguments(int argc, char **argv)
{
	PyObject *list = PyList_New(argc > 1 ? argc - 1 : 0);

	for (int i = 1; list && i < argc; i++) {
		PyObject *word = PyUnicode_DecodeFSDefault(argv[i]);

		if (!word)
			Py_CLEAR(list);
		else
			PyList_SET_ITEM(list, i - 1, word);
	}
	return list;
}

/* entry.main(argv, environment, front_end) -> exit status. The interpreter is not torn down: the
 * kernel is faster. */
_Noreturn void run_and_exit(int argc, char **argv, const char *front_end)
{
	PyObject *arguments = decode_arguments(argc, argv);
	PyObject *variables = environment();
	PyObject *result;

	if (!arguments || !variables)
		die_of_exception("out of memory");
	result = PyObject_CallFunction(entry_main, "OOs", arguments, variables, front_end);
	if (!result)
		die_of_exception("an error escaped");
	_exit((int)PyLong_AsLong(result));
}
