// Package tree keeps the rules of the source tree as a whole: who may import
// whom, that every package says what it is for, that functions and files stay
// short. A rule about the inside of one package is kept by a test in there.
package tree
