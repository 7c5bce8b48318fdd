// SPDX-License-Identifier: Apache-2.0

// Package tap writes the Test Anything Protocol with the calls that the OCI runtime-tools validation programs use. They
// import it under the path of a package that Debian does not carry; version 13 of the protocol, YAML blocks as JSON.
package tap

import (
	"encoding/json"
	"fmt"
	"strings"
)

// T is a running test program.
type T struct {
	count *int
	todo  bool
}

// New starts a test program.
func New() *T {
	return &T{count: new(int)}
}

// Header prints the version and, unless planned is 0, the number of tests to come.
func (t *T) Header(planned int) {
	fmt.Println("TAP version 13")
	if planned > 0 {
		fmt.Printf("1..%d\n", planned)
	}
}

// AutoPlan prints the number of tests that were run.
func (t *T) AutoPlan() {
	fmt.Printf("1..%d\n", *t.count)
}

// Ok reports one test.
func (t *T) Ok(passed bool, description string) {
	word := "ok"
	if !passed {
		word = "not ok"
	}
	*t.count++
	if t.todo {
		description += " # TODO"
	}
	fmt.Printf("%s %d - %s\n", word, *t.count, description)
}

// Pass reports a test that passed.
func (t *T) Pass(description string) {
	t.Ok(true, description)
}

// Fail reports a test that failed.
func (t *T) Fail(description string) {
	t.Ok(false, description)
}

// Skip reports count tests that were not run.
func (t *T) Skip(count int, description string) {
	for i := 0; i < count; i++ {
		*t.count++
		fmt.Printf("ok %d # SKIP %s\n", *t.count, description)
	}
}

// Todo returns a view of the program whose tests are expected to fail.
func (t *T) Todo() *T {
	return &T{count: t.count, todo: true}
}

// Diagnostic prints a comment.
func (t *T) Diagnostic(message string) {
	fmt.Printf("# %s\n", strings.ReplaceAll(message, "\n", "\n# "))
}

// Diagnosticf prints a formatted comment.
func (t *T) Diagnosticf(format string, arguments ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, arguments...))
}

// YAML prints a value as the diagnostic block of the test before it.
func (t *T) YAML(value interface{}) error {
	text, err := json.MarshalIndent(value, "  ", "  ")
	if err != nil {
		return err
	}
	fmt.Printf("  ---\n  %s\n  ...\n", text)
	return nil
}
