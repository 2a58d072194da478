/* SPDX-License-Identifier: MIT */
/* profile/share.h: Wilson's interval. */
#include "pspy/profile/share.h"

#include "unit/made_report.h"

static void test_intervals(void)
{
    /* R. G. Newcombe, Statistics in Medicine 17 (1998), table I: the score method. */
    static const struct {
        double events, draws, low, high;
    } table[] = {{81, 263, 0.2553, 0.3662},
                 {15, 148, 0.0624, 0.1605},
                 {0, 20, 0.0000, 0.1611},
                 {1, 29, 0.0061, 0.1718}};
    double low, high;

    for (size_t i = 0; i < 4; i++) {
        share_interval(table[i].events / table[i].draws, table[i].draws, &low, &high);
        tap_ok(fabs(low - table[i].low) < 6e-5 && fabs(high - table[i].high) < 6e-5,
               "the published interval of %g of %g", table[i].events, table[i].draws);
    }
    for (int draws = 1; draws <= 1000; draws *= 10)
        for (int events = 1; events <= 9; events += 4) {
            double value = events / 10.0;

            share_interval(value, draws, &low, &high);
            tap_ok(fabs(low - limit_of(value, draws, 0)) < 1e-9 &&
                       fabs(high - limit_of(value, draws, 1)) < 1e-9,
                   "the interval of %g in %d by bisection", value, draws);
        }
    share_interval(0.5, 0, &low, &high);
    tap_ok(low == 0 && high == 1, "no samples say nothing");
    share_interval(1, 20, &low, &high);
    tap_ok(high == 1 && fabs(low - (1 - 0.1611)) < 6e-5, "all of 20 is none of 20 turned over");
}

int main(void)
{
    test_intervals();
    return tap_done();
}
