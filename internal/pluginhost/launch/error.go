package launch

import "fmt"

// Class is what kind of fault kept a plugin from starting. Who supervises it acts on the class, people read the sentence.
type Class string

// The classes.
const (
	Missing   Class = "missing"   // there is no such file
	Refused   Class = "refused"   // it may not be run, or does what no plugin may
	Digest    Class = "digest"    // it is not the file that was locked
	Format    Class = "format"    // it cannot be run on this host, or is a script of a shell
	Handshake Class = "handshake" // it ran and did not become a plugin
	Protocol  Class = "protocol"  // it is a plugin and speaks a version that this agent does not know
	Crash     Class = "crash"     // it ended before it was ready
	Ours      Class = "ours"      // the agent could not start anything: no descriptors, no folder, no time left
)

// Error is why a plugin is not there. Its text is one sentence for an operator.
type Error struct {
	Plugin string
	Class  Class
	Text   string // without the plugin's name
	Exit   *Exit  // how it ended, where it ran
	Err    error  // the cause; may be nil
}

func (e *Error) Error() string { return fmt.Sprintf("plugin %s: %s", e.Plugin, e.Text) }

func (e *Error) Unwrap() error { return e.Err }

// fault makes an Error; the plugin's name is added by Start.
func fault(class Class, format string, args ...any) *Error {
	return &Error{Class: class, Text: fmt.Sprintf(format, args...)}
}

// because adds the cause.
func (e *Error) because(err error) *Error {
	e.Err = err
	return e
}
