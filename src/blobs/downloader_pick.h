// The parts of the plan that look through sets: what is free, how much there is, what a provider can give.
#ifndef BLOBS_DOWNLOADER_PICK_H
#define BLOBS_DOWNLOADER_PICK_H

#include "blobs/downloader_plan.h"

// Moves the beginning of `item` to the first value that is in none of the sets: false when there is none.
bool pick_free(range *item, const ranges *const *without, size_t count);
// Where the free values that `item` begins with end.
uint64_t pick_end(const range *item, const ranges *const *without, size_t count);

uint64_t pick_count(const ranges *set);  // of values
bool pick_has(const ranges *set, uint64_t value);
int pick_drop(ranges *set, uint64_t count);  // the lowest so many; IROH_ERR_NOMEM

// Inside of the plan
plan_blob *plan_find_blob(const plan *p, uint64_t number);
plan_hole *plan_find_hole(const plan_provider *v, uint64_t blob);
plan_span *plan_next_span(const plan *p, const plan_span *s);  // null: the first; null after the last
int plan_put_back(plan *p, plan_span *s);                      // what is left of a span is wanted again
uint64_t plan_scale(uint64_t a, uint64_t b, uint64_t c);       // a * b / c, about; c > 0
uint64_t plan_rate_of(uint64_t bytes, uint64_t ns);            // bytes per second, at least 1

bool plan_can_give(const plan *p, const plan_provider *v);  // something that nobody fetches yet
bool plan_forget_doubts(plan_provider *v);                  // whether there were any; it stays careful

#endif
