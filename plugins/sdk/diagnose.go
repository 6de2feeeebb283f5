package sdk

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	schemakind "github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/windsock-monitor/windsock/checks"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

const mostDiagnostics = 64

func problem(pointer, summary string) *pluginv1.Diagnostic {
	return &pluginv1.Diagnostic{Severity: pluginv1.Severity_SEVERITY_ERROR, Summary: wire.Line(summary), Pointer: strings.ToValidUTF8(pointer, "\uFFFD")}
}

func warning(summary string) *pluginv1.Diagnostic {
	return &pluginv1.Diagnostic{Severity: pluginv1.Severity_SEVERITY_WARNING, Summary: wire.Line(summary)}
}

// ofSchema tells what the schema says of the parameters, one diagnostic for each parameter that is missing, unknown or wrong.
func ofSchema(err error) []*pluginv1.Diagnostic {
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return []*pluginv1.Diagnostic{problem("", err.Error())}
	}
	var out []*pluginv1.Diagnostic
	leaves(invalid, func(e *jsonschema.ValidationError) {
		if len(out) < mostDiagnostics {
			out = append(out, ofLeaf(e)...)
		}
	})
	return out
}

// leaves walks to the errors that have no cause. What fits none of several forms is told as that, not by every form.
func leaves(e *jsonschema.ValidationError, visit func(*jsonschema.ValidationError)) {
	switch e.ErrorKind.(type) {
	case *schemakind.AnyOf, *schemakind.OneOf:
		visit(e)
		return
	}
	if len(e.Causes) == 0 {
		visit(e)
		return
	}
	for _, cause := range e.Causes {
		leaves(cause, visit)
	}
}

func ofLeaf(e *jsonschema.ValidationError) []*pluginv1.Diagnostic {
	at := pointer(e.InstanceLocation...)
	var out []*pluginv1.Diagnostic
	switch k := e.ErrorKind.(type) {
	case *schemakind.Required:
		for _, key := range k.Missing {
			out = append(out, problem(at+pointer(key), fmt.Sprintf("the parameter %q is missing", key)))
		}
	case *schemakind.AdditionalProperties:
		for _, key := range k.Properties {
			out = append(out, problem(at+pointer(key), fmt.Sprintf("there is no parameter %q", key)))
		}
	case *schemakind.Type:
		out = append(out, problem(at, fmt.Sprintf("found %s, want %s", k.Got, strings.Join(k.Want, " or "))))
	case *schemakind.AnyOf, *schemakind.OneOf:
		out = append(out, problem(at, "it has none of the forms that it may have"))
	default:
		out = append(out, problem(at, e.ErrorKind.LocalizedString(message.NewPrinter(language.English))))
	}
	return out
}

// pointer is the JSON Pointer (RFC 6901) of a way through a document.
func pointer(keys ...string) string {
	var b strings.Builder
	for _, key := range keys {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
	}
	return b.String()
}

// ofKind tells what a kind says of its parameters.
func ofKind(err error, doc any) []*pluginv1.Diagnostic {
	var out []*pluginv1.Diagnostic
	for _, one := range flat(err) {
		if len(out) == mostDiagnostics {
			break
		}
		path, text := partsOf(one)
		out = append(out, problem(locate(doc, path), text))
	}
	return out
}

// flat takes joined errors apart.
func flat(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, inner := range joined.Unwrap() {
		out = append(out, flat(inner)...)
	}
	return out
}

// partsOf is the path of an error, and what it says of it, in the words of the agent's configuration.
func partsOf(err error) (path, text string) {
	if invalid, ok := errors.AsType[*checks.ParamError](err); ok {
		return invalid.Path, invalid.Error()
	}
	return "", err.Error()
}

// locate is the pointer of a dotted path. Keys may hold dots themselves: what is in the document decides.
func locate(doc any, path string) string {
	if path == "" {
		return ""
	}
	if object, ok := doc.(map[string]any); ok {
		best, found := "", false
		for key := range object {
			rest, fits := strings.CutPrefix(path, key)
			if fits && key != "" && (rest == "" || rest[0] == '.') && len(key) > len(best) {
				best, found = key, true
			}
		}
		if found {
			return pointer(best) + locate(object[best], strings.TrimPrefix(path[len(best):], "."))
		}
		return pointer(strings.Split(path, ".")...)
	}
	head, rest, _ := strings.Cut(path, ".")
	if items, ok := doc.([]any); ok {
		if i, err := strconv.Atoi(head); err == nil && i >= 0 && i < len(items) {
			return pointer(head) + locate(items[i], rest)
		}
	}
	return pointer(strings.Split(path, ".")...)
}
