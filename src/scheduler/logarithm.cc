#include "scheduler/logarithm.h"

#include <cmath>

namespace archway::scheduler {

double portable_log(double value) {
  // value = 2^k × (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2); log(1 + f) by a Remez polynomial in s = f / (2 + f).
  constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
  constexpr double l1 = 6.666666666666735130e-01, l2 = 3.999999999940941908e-01, l3 = 2.857142874366239149e-01,
                   l4 = 2.222219843214978396e-01, l5 = 1.818357216161805012e-01, l6 = 1.531383769920937332e-01,
                   l7 = 1.479819860511658591e-01;
  constexpr double half_sqrt2 = 0.70710678118654752440;
  int exponent = 0;
  double fraction = std::frexp(value, &exponent);
  if (fraction < half_sqrt2) {
    fraction *= 2;
    --exponent;
  }
  double f = fraction - 1, k = exponent;
  double s = f / (2 + f), s2 = s * s, s4 = s2 * s2;
  double t1 = s2 * (l1 + s4 * (l3 + s4 * (l5 + s4 * l7)));
  double t2 = s4 * (l2 + s4 * (l4 + s4 * l6));
  double r = t1 + t2, half_square = 0.5 * f * f;
  return k * ln2_high - ((half_square - (s * (half_square + r) + k * ln2_low)) - f);
}

}  // namespace archway::scheduler
