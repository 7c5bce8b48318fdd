// SPDX-License-Identifier: Apache-2.0
/* The extension modules that are linked in; a static program cannot load any. */
#include <Python.h>

void add_linked_modules(void);

PyMODINIT_FUNC PyInit__cffi_backend(void);
PyMODINIT_FUNC PyInit__native(void);
PyMODINIT_FUNC PyInit__speedups(void);

void add_linked_modules(void)
{
	if (PyImport_AppendInittab("_cffi_backend", PyInit__cffi_backend) < 0 ||
	    PyImport_AppendInittab("pyrunc._native", PyInit__native) < 0 ||
	    PyImport_AppendInittab("simplejson._speedups", PyInit__speedups) < 0)
		Py_FatalError("cannot register the linked modules");
}
