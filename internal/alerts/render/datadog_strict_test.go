//go:build datadog

package render_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/DataDog/datadog-api-client-go/v2/api/datadogV1"

	"github.com/windsock-monitor/windsock/internal/alerts/render"
)

// TestDatadogsOwnClientKnowsEveryField: what its types do not have it keeps in AdditionalProperties, and what does not fit
// them in UnparsedObject.
func TestDatadogsOwnClientKnowsEveryField(t *testing.T) {
	for name, in := range inputs() {
		out, _ := render.Datadog(in)
		var all []datadogV1.Monitor
		if err := json.Unmarshal(out, &all); err != nil {
			t.Fatal(err)
		}
		if len(all) < len(in.Rules) {
			t.Errorf("%s: got %d monitors of %d rules", name, len(all), len(in.Rules))
		}
		for i := range all {
			m := &all[i]
			strange(t, m.GetName(), reflect.ValueOf(m))
			if !m.Type.IsValid() {
				t.Errorf("%s: %s is no type of a monitor", m.GetName(), m.Type)
			}
			if o := m.GetOptions(); !o.Thresholds.HasCritical() {
				t.Errorf("%s: Datadog sees no critical threshold", m.GetName())
			}
		}
	}
}

// TestDatadogsOwnClientFindsAWrongField shows that the test above can fail.
func TestDatadogsOwnClientFindsAWrongField(t *testing.T) {
	for _, text := range []string{
		`{"query": "x", "type": "query alert", "urgency": 1}`,
		`{"query": "x", "type": "query alarm"}`,
		`{"query": "x", "type": "query alert", "options": {"thresholds": {"criticle": 1}}}`,
	} {
		var m datadogV1.Monitor
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			continue
		}
		if found := oddities("", reflect.ValueOf(&m)); len(found) == 0 {
			t.Errorf("%s was taken", text)
		}
	}
}

func strange(t *testing.T, name string, v reflect.Value) {
	t.Helper()
	for _, text := range oddities("", v) {
		t.Errorf("%s: %s", name, text)
	}
}

// oddities walks a value of the client.
func oddities(path string, v reflect.Value) []string {
	var out []string
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			out = oddities(path, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			out = append(out, oddities(fmt.Sprintf("%s[%d]", path, i), v.Index(i))...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			switch {
			case !field.IsExported():
			case field.Name == "UnparsedObject" || field.Name == "AdditionalProperties":
				if v.Field(i).Len() > 0 {
					out = append(out, fmt.Sprintf("%s holds %v", path+"."+field.Name, v.Field(i)))
				}
			default:
				out = append(out, oddities(path+"."+field.Name, v.Field(i))...)
			}
		}
	}
	return out
}
