"""The C functions that int8 programs call, one for each kind of op: `quantize.py` says what their integers mean.

`FUNCTIONS` has their texts by name, in the order in which they go into a file; layouts are those of `functions.py`.
"""

from byhand.export.functions import AXES, WINDOW

UNITS = """\
/* How the sums of a layer become its result: times multiplier / 2^shift of the output channel, from zero_y on. */
struct units {
    const int32_t *multiplier;
    const int8_t *shift;
    int zero_x, zero_y, low, high;
};
"""

NARROW = """\
/* n / 2^shift to the nearest, halves away from 0, as a number between low and high */
static int8_t narrow(int64_t n, int shift, int zero, int low, int high)
{
    const int64_t half = (int64_t)1 << (shift - 1);
    const int64_t v = (n < 0 ? -((half - n) >> shift) : (n + half) >> shift) + zero;
    return (int8_t)(v < low ? low : v > high ? high : v);
}
"""

ROUNDED = """\
/* v to the nearest, halves away from 0 */
static int8_t rounded(float v, int zero)
{
    const float near = v < -512.0f ? -512.0f : v > 512.0f ? 512.0f : v;
    const int n = (int)(near < 0.0f ? near - 0.5f : near + 0.5f) + zero;
    return (int8_t)(n < -128 ? -128 : n > 127 ? 127 : n);
}
"""

PIXELS = """\
/* what each of the 256 pixels becomes stands in a table, one for each of `kinds` channels or one for all */
static void look_up_pixels(const unsigned char *image, int count, int kinds, const int8_t *table, int8_t *x)
{
    for (int i = 0; i < count; i++)
        x[i] = table[i % kinds * 256 + image[i]];
}
"""

CONV2D = """\
/* y[i, j, k] = bias[k] + the sum over r, s, c of (x[p, q, c] - zero_x) * weight[k, r, s, c], in the unit of y, where
   p = i * down - top + r * apart_down and q = j * across - left + s * apart_across; what is outside the image is 0 */
static void conv2d(const struct window *v, const int8_t *x, const int8_t *weight, const int32_t *bias,
                   const struct units *u, int8_t *y)
{
    const int depth = v->channels / v->groups, filters = v->out_channels / v->groups;
    for (int i = 0; i < v->out_height; i++)
        for (int j = 0; j < v->out_width; j++)
            for (int k = 0; k < v->out_channels; k++) {
                int32_t sum = bias[k];
                for (int r = 0; r < v->rows; r++) {
                    const int p = i * v->down - v->top + r * v->apart_down;
                    if (p < 0 || p >= v->height)
                        continue;
                    for (int s = 0; s < v->columns; s++) {
                        const int q = j * v->across - v->left + s * v->apart_across;
                        if (q < 0 || q >= v->width)
                            continue;
                        const int8_t *seen = x + (p * v->width + q) * v->channels + k / filters * depth;
                        const int8_t *filter = weight + ((k * v->rows + r) * v->columns + s) * depth;
                        for (int c = 0; c < depth; c++)
                            sum += (seen[c] - u->zero_x) * filter[c];
                    }
                }
                *y++ = narrow((int64_t)sum * u->multiplier[k], u->shift[k], u->zero_y, u->low, u->high);
            }
}
"""

LINEAR = """\
/* y[k] = bias[k] + the sum over d of (x[d] - zero_x) * weight[k, d], in the unit of y, for each of the rows of x */
static void linear(int rows, int inputs, int outputs, const int8_t *x, const int8_t *weight, const int32_t *bias,
                   const struct units *u, int8_t *y)
{
    for (int n = 0; n < rows; n++)
        for (int k = 0; k < outputs; k++) {
            int32_t sum = bias[k];
            for (int d = 0; d < inputs; d++)
                sum += (x[n * inputs + d] - u->zero_x) * weight[k * inputs + d];
            *y++ = narrow((int64_t)sum * u->multiplier[k], u->shift[k], u->zero_y, u->low, u->high);
        }
}
"""

MAX_POOL = """\
/* y[i, j, c] = the largest x[p, q, c] of a window; what is outside the image never wins */
static void max_pool(const struct window *v, const int8_t *x, int8_t *y)
{
    for (int i = 0; i < v->out_height; i++)
        for (int j = 0; j < v->out_width; j++)
            for (int c = 0; c < v->channels; c++) {
                int8_t best = -128;
                for (int r = 0; r < v->rows; r++)
                    for (int s = 0; s < v->columns; s++) {
                        const int p = i * v->down - v->top + r * v->apart_down;
                        const int q = j * v->across - v->left + s * v->apart_across;
                        if (p < 0 || p >= v->height || q < 0 || q >= v->width)
                            continue;
                        if (x[(p * v->width + q) * v->channels + c] > best)
                            best = x[(p * v->width + q) * v->channels + c];
                    }
                *y++ = best;
            }
}
"""

AVG_POOL = """\
/* y[i, j, c] = the mean of x[p, q, c] over a window; where `padded`, the zeros of the padding count as pixels */
static void avg_pool(const struct window *v, int padded, const int8_t *x, int zero, int8_t *y)
{
    for (int i = 0; i < v->out_height; i++)
        for (int j = 0; j < v->out_width; j++)
            for (int c = 0; c < v->channels; c++) {
                int32_t sum = 0, count = 0;
                for (int r = 0; r < v->rows; r++)
                    for (int s = 0; s < v->columns; s++) {
                        const int p = i * v->down - v->top + r, q = j * v->across - v->left + s;
                        if (p >= 0 && p < v->height && q >= 0 && q < v->width) {
                            sum += x[(p * v->width + q) * v->channels + c] - zero;
                            count++;
                        } else if (padded && p < v->height + v->bottom && q < v->width + v->right)
                            count++;
                    }
                count = count > 1 ? count : 1;
                sum = sum < 0 ? -((count / 2 - sum) / count) : (sum + count / 2) / count;
                *y++ = (int8_t)(sum + zero);
            }
}
"""

GLOBAL_AVG_POOL = """\
/* y[c] = the mean of x[i, c] over all pixels, in the unit of y */
static void global_avg_pool(int pixels, int channels, const int8_t *x, int zero_x, int32_t multiplier, int shift,
                            int zero_y, int8_t *y)
{
    for (int c = 0; c < channels; c++) {
        int32_t sum = 0;
        for (int i = 0; i < pixels; i++)
            sum += x[i * channels + c] - zero_x;
        y[c] = narrow((int64_t)sum * multiplier, shift, zero_y, -128, 127);
    }
}
"""

PAIR = """\
static void {name}(const struct axes *v, const int8_t *x, int zero_a, const int8_t *with, int zero_b, {times},
                int shift, int zero_y, int low, int high, int8_t *y)
{{
    for (int i = 0; i < v->sizes[0]; i++)
        for (int j = 0; j < v->sizes[1]; j++)
            for (int k = 0; k < v->sizes[2]; k++)
                for (int l = 0; l < v->sizes[3]; l++) {{
                    const int a = x[i * v->a[0] + j * v->a[1] + k * v->a[2] + l * v->a[3]] - zero_a;
                    const int b = with[i * v->b[0] + j * v->b[1] + k * v->b[2] + l * v->b[3]] - zero_b;
                    *y++ = narrow({formula}, shift, zero_y, low, high);
                }}
}}
"""
ADD = "/* y = a + b, both in the unit of y times 2^shift */\n" + PAIR.format(
    name="add", times="int32_t times_a, int32_t times_b", formula="(int64_t)a * times_a + (int64_t)b * times_b"
)
MULTIPLY = PAIR.format(name="multiply", times="int32_t multiplier", formula="(int64_t)(a * b) * multiplier")

LOOK_UP = """\
/* y = what a table says of x: a curve, number by number */
static void look_up(int count, const int8_t *table, const int8_t *x, int8_t *y)
{
    for (int i = 0; i < count; i++)
        y[i] = table[x[i] + 128];
}
"""

CLIP = """\
static void clip(int count, const int8_t *x, int low, int high, int8_t *y)
{
    for (int i = 0; i < count; i++)
        y[i] = (int8_t)(x[i] < low ? low : x[i] > high ? high : x[i]);
}
"""

COPY = """\
/* y = x, number by number, from places that lie `a` apart to places that lie `b` apart; table: what each number becomes
   where x and y have different units, or 0 */
static void copy(const struct axes *v, const int8_t *table, const int8_t *x, int8_t *y)
{
    for (int i = 0; i < v->sizes[0]; i++)
        for (int j = 0; j < v->sizes[1]; j++)
            for (int k = 0; k < v->sizes[2]; k++)
                for (int l = 0; l < v->sizes[3]; l++) {
                    const int8_t q = x[i * v->a[0] + j * v->a[1] + k * v->a[2] + l * v->a[3]];
                    y[i * v->b[0] + j * v->b[1] + k * v->b[2] + l * v->b[3]] = table ? table[q + 128] : q;
                }
}
"""

FILL = """\
static void fill(int count, int8_t value, int8_t *y)
{
    for (int i = 0; i < count; i++)
        y[i] = value;
}
"""

NEAREST = """\
/* y[i, j] = x[rows[i], columns[j]] */
static void nearest(int width, int channels, int out_height, int out_width, const int16_t *rows, const int16_t *columns,
                    const int8_t *x, int8_t *y)
{
    for (int i = 0; i < out_height; i++)
        for (int j = 0; j < out_width; j++)
            for (int c = 0; c < channels; c++)
                *y++ = x[(rows[i] * width + columns[j]) * channels + c];
}
"""

LAYER_NORM = """\
/* y = gamma * (x - mean) / sqrt(variance + eps) + beta, in float32, mean and variance those of each row of x */
static void layer_norm(int rows, int size, const int8_t *x, int zero_x, const float *gamma, const float *beta, float eps,
                       int zero_y, int8_t *y)
{
    for (int n = 0; n < rows; n++, x += size, y += size) {
        float mean = 0.0f, variance = 0.0f;
        for (int d = 0; d < size; d++)
            mean += (float)(x[d] - zero_x);
        mean /= (float)size;
        for (int d = 0; d < size; d++)
            variance += ((float)(x[d] - zero_x) - mean) * ((float)(x[d] - zero_x) - mean);
        const float inv_std = 1.0f / sqrtf(variance / (float)size + eps);
        for (int d = 0; d < size; d++)
            y[d] = rounded(gamma[d] * ((float)(x[d] - zero_x) - mean) * inv_std + beta[d], zero_y);
    }
}
"""

LRN = """\
/* y[c] = x[c] / (bias + alpha * the sum of x^2 over `size` channels around c) ^ (quarters / 4), in float32 */
static void lrn(int pixels, int channels, int size, float alpha, int quarters, float bias, float unit, const int8_t *x,
                int zero_x, int zero_y, int8_t *y)
{
    for (int i = 0; i < pixels; i++, x += channels)
        for (int c = 0; c < channels; c++) {
            int32_t sum = 0;
            for (int k = c - (size - 1) / 2; k < c - (size - 1) / 2 + size; k++)
                if (k >= 0 && k < channels)
                    sum += (x[k] - zero_x) * (x[k] - zero_x);
            const float s = bias + alpha * (float)sum, root = sqrtf(s);
            const float power = quarters == 2 ? root : quarters == 3 ? root * sqrtf(root) : s;
            *y++ = rounded((float)(x[c] - zero_x) * unit / power, zero_y);
        }
}
"""

SOFTMAX = """\
/* y[k] = e^x[k] / the sum of all e^x, in float32; table: e^-d of what is d below the largest */
static void softmax(int size, const float *table, const int8_t *x, float *y)
{
    int largest = x[0];
    float sum = 0.0f;
    for (int k = 1; k < size; k++)
        largest = x[k] > largest ? x[k] : largest;
    for (int k = 0; k < size; k++) {
        y[k] = table[largest - x[k]];
        sum += y[k];
    }
    for (int k = 0; k < size; k++)
        y[k] /= sum;
}
"""

SOFTMAX_INT8 = """\
/* the same for each of the rows of x, back in 8 bits */
static void softmax_int8(int rows, int size, const float *table, float unit, int zero_y, const int8_t *x, int8_t *y)
{
    for (int n = 0; n < rows; n++, x += size, y += size) {
        int largest = x[0];
        float sum = 0.0f;
        for (int k = 1; k < size; k++)
            largest = x[k] > largest ? x[k] : largest;
        for (int k = 0; k < size; k++)
            sum += table[largest - x[k]];
        for (int k = 0; k < size; k++)
            y[k] = rounded(table[largest - x[k]] / sum * unit, zero_y);
    }
}
"""

NUMBERS = """\
/* y = what the q's mean */
static void to_numbers(int count, const int8_t *x, int zero, float scale, float *y)
{
    for (int i = 0; i < count; i++)
        y[i] = (float)(x[i] - zero) * scale;
}
"""

FUNCTIONS = {
    "window": WINDOW,
    "axes": AXES,
    "units": UNITS,
    "narrow": NARROW,
    "rounded": ROUNDED,
    "look_up_pixels": PIXELS,
    "conv2d": CONV2D,
    "linear": LINEAR,
    "max_pool": MAX_POOL,
    "avg_pool": AVG_POOL,
    "global_avg_pool": GLOBAL_AVG_POOL,
    "layer_norm": LAYER_NORM,
    "lrn": LRN,
    "clip": CLIP,
    "look_up": LOOK_UP,
    "add": ADD,
    "multiply": MULTIPLY,
    "copy": COPY,
    "fill": FILL,
    "nearest": NEAREST,
    "softmax_int8": SOFTMAX_INT8,
    "softmax": SOFTMAX,
    "to_numbers": NUMBERS,
}
