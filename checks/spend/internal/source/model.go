package source

import "regexp"

// What every source tells of models.
const (
	MaxModels    = 50        // that are told apart
	OtherModel   = "other"   // the names beyond the bound, or that are not fit to be shown
	UnknownModel = "unknown" // of what names none
)

var fit = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$`)

// FitModel reports whether a model's name is fit to be shown: ids, aliases and paths of them, and no free text.
func FitModel(name string) bool { return fit.MatchString(name) }
