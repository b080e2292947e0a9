// Package machine reads the machine that an agent runs on: what it has, which
// does not change until it is booted anew, and what of it is in use.
//
// It only reads. What a node reports of it, and what follows from a shortage, is
// left to agent/node; what single pods use, to agent/serving.
package machine
