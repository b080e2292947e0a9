// Package validation judges whether an object may be stored, by the rules and
// in the words of Kubernetes v1.36: the field paths, the kinds of error and the
// messages are those that clients and their tests know.
//
// Each kind has a function of its own name for creation and, where updates
// obey further rules, KindUpdate, KindStatusUpdate and so on, taking the new
// object first. All report every fault they find, as a field.ErrorList in an
// order that depends on the object alone, and change nothing. They expect the
// object to have been defaulted (package defaults) and prepared by its
// strategy.
//
// Left to others: rules that need a second object, such as quota or whether a
// priority class exists, are admission's.
package validation
