// Package traffic knows the metrics that the checklist has an application export, and the questions in PromQL that are
// asked of them. It asks nobody.
package traffic
