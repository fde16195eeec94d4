#pragma once

#include "admission/events.h"
#include "admission/review.h"

namespace archway::admission {

// Tells of a review that ended badly for the pod: it was refused, it will not run, nothing is known of its images. On the pod itself where it
// has a name and will exist; else on what makes it, else on its namespace. Nothing on dry runs. Does not block.
void tell_of_review(EventRecorder& events, const ReviewRequest& request, const Decision& decision);

// What an event about a review is about.
ObjectReference about_review(const ReviewRequest& request, bool refused);

}  // namespace archway::admission
