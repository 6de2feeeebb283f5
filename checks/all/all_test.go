package all_test

import (
	"slices"
	"testing"

	"github.com/windsock-monitor/windsock/checks/all"
	"github.com/windsock-monitor/windsock/checks/checktest"
)

func TestEveryKindHasItsOwnNameAndAnExampleThatDecodes(t *testing.T) {
	t.Parallel()
	var names []string
	for _, kind := range all.Kinds() {
		if slices.Contains(names, kind.Name) {
			t.Errorf("two kinds are called %q", kind.Name)
		}
		names = append(names, kind.Name)
		example, ok := all.Examples()[kind.Name]
		if !ok || example == "" {
			t.Errorf("%s has no example", kind.Name)
		}
		if err := kind.Validate(checktest.Decoder(example, "key")); err != nil {
			t.Errorf("the example of %s is refused: %v", kind.Name, err)
		}
		if err := checktest.Documented(kind.Defaults); err != nil {
			t.Error(err)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("the kinds are %v, want them sorted", names)
	}
	if len(all.Examples()) != len(names) {
		t.Errorf("%d examples for %d kinds", len(all.Examples()), len(names))
	}
}
