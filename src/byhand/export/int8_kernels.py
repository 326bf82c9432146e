"""The C functions that int8 programs call, one for each kind of op; `quantization.py` explains the arithmetic.

`FUNCTIONS` has their texts by name, in the order of the file; layouts are those of `float32_kernels.py`.
"""

from byhand.export.float32_kernels import STRIDES, WINDOW

REQUANTIZATION = """\
/* How sums become int8: sum * multiplier[k] / 2^shift[k] + zero_y, between low and high, for output channel k. */
struct requantization {
    const int32_t *multiplier;
    const int8_t *shift;
    int zero_x, zero_y, low, high;
};
"""

REQUANTIZE = """\
/* n / 2^shift + zero, rounded to the nearest, halves away from 0, and clamped */
static int8_t requantize(int64_t n, int shift, int zero, int low, int high)
{
    const int64_t half = (int64_t)1 << (shift - 1);
    const int64_t v = (n < 0 ? -((half - n) >> shift) : (n + half) >> shift) + zero;
    return (int8_t)(v < low ? low : v > high ? high : v);
}
"""

ROUND_TO_INT8 = """\
/* v + zero, rounded to the nearest, halves away from 0, and clamped to int8 */
static int8_t round_to_int8(float v, int zero)
{
    const float near = v < -512.0f ? -512.0f : v > 512.0f ? 512.0f : v;
    const int n = (int)(near < 0.0f ? near - 0.5f : near + 0.5f) + zero;
    return (int8_t)(n < -128 ? -128 : n > 127 ? 127 : n);
}
"""

LOOK_UP_PIXELS = """\
/* x = table[channel][pixel]: the int8 of each of the 256 pixel values, for each of `channels` channels; 1: for all */
static void look_up_pixels(const unsigned char *image, int count, int channels, const int8_t *table, int8_t *x)
{
    for (int i = 0; i < count; i++)
        x[i] = table[i % channels * 256 + image[i]];
}
"""

CONV2D = """\
/* y[i, j, k] = bias[k] + the sum over r, s, c of (x[p, q, c] - zero_x) * weight[k, r, s, c], in the scale of y, where
   p = i * stride_y - top + r * dilation_y and q = j * stride_x - left + s * dilation_x; pixels outside the image are 0 */
static void conv2d(const struct window *w, const int8_t *x, const int8_t *weight, const int32_t *bias,
                   const struct requantization *u, int8_t *y)
{
    const int depth = w->channels / w->groups, filters = w->out_channels / w->groups;
    for (int i = 0; i < w->out_height; i++)
        for (int j = 0; j < w->out_width; j++)
            for (int k = 0; k < w->out_channels; k++) {
                int32_t sum = bias[k];
                for (int r = 0; r < w->rows; r++) {
                    const int p = i * w->stride_y - w->top + r * w->dilation_y;
                    if (p < 0 || p >= w->height)
                        continue;
                    for (int s = 0; s < w->columns; s++) {
                        const int q = j * w->stride_x - w->left + s * w->dilation_x;
                        if (q < 0 || q >= w->width)
                            continue;
                        const int8_t *seen = x + (p * w->width + q) * w->channels + k / filters * depth;
                        const int8_t *filter = weight + ((k * w->rows + r) * w->columns + s) * depth;
                        for (int c = 0; c < depth; c++)
                            sum += (seen[c] - u->zero_x) * filter[c];
                    }
                }
                *y++ = requantize((int64_t)sum * u->multiplier[k], u->shift[k], u->zero_y, u->low, u->high);
            }
}
"""

LINEAR = """\
/* y[k] = bias[k] + the sum over d of (x[d] - zero_x) * weight[k, d], in the scale of y, for each row of x */
static void linear(int rows, int inputs, int outputs, const int8_t *x, const int8_t *weight, const int32_t *bias,
                   const struct requantization *u, int8_t *y)
{
    for (int n = 0; n < rows; n++)
        for (int k = 0; k < outputs; k++) {
            int32_t sum = bias[k];
            for (int d = 0; d < inputs; d++)
                sum += (x[n * inputs + d] - u->zero_x) * weight[k * inputs + d];
            *y++ = requantize((int64_t)sum * u->multiplier[k], u->shift[k], u->zero_y, u->low, u->high);
        }
}
"""

MAX_POOL = """\
/* y[i, j, c] = the maximum of x[p, q, c] over a window; pixels outside the image are skipped */
static void max_pool(const struct window *w, const int8_t *x, int8_t *y)
{
    for (int i = 0; i < w->out_height; i++)
        for (int j = 0; j < w->out_width; j++)
            for (int c = 0; c < w->channels; c++) {
                int8_t best = -128;
                for (int r = 0; r < w->rows; r++)
                    for (int s = 0; s < w->columns; s++) {
                        const int p = i * w->stride_y - w->top + r * w->dilation_y;
                        const int q = j * w->stride_x - w->left + s * w->dilation_x;
                        if (p < 0 || p >= w->height || q < 0 || q >= w->width)
                            continue;
                        if (x[(p * w->width + q) * w->channels + c] > best)
                            best = x[(p * w->width + q) * w->channels + c];
                    }
                *y++ = best;
            }
}
"""

AVG_POOL = """\
/* y[i, j, c] = the mean of x[p, q, c] over a window; include_pad: padding counts as pixels of value 0 */
static void avg_pool(const struct window *w, int include_pad, const int8_t *x, int zero, int8_t *y)
{
    for (int i = 0; i < w->out_height; i++)
        for (int j = 0; j < w->out_width; j++)
            for (int c = 0; c < w->channels; c++) {
                int32_t sum = 0, count = 0;
                for (int r = 0; r < w->rows; r++)
                    for (int s = 0; s < w->columns; s++) {
                        const int p = i * w->stride_y - w->top + r, q = j * w->stride_x - w->left + s;
                        if (p >= 0 && p < w->height && q >= 0 && q < w->width) {
                            sum += x[(p * w->width + q) * w->channels + c] - zero;
                            count++;
                        } else if (include_pad && p < w->height + w->bottom && q < w->width + w->right)
                            count++;
                    }
                count = count > 1 ? count : 1;
                sum = sum < 0 ? -((count / 2 - sum) / count) : (sum + count / 2) / count;
                *y++ = (int8_t)(sum + zero);
            }
}
"""

GLOBAL_AVG_POOL = """\
/* y[c] = the mean of x[i, c] over all pixels, in the scale of y */
static void global_avg_pool(int pixels, int channels, const int8_t *x, int zero_x, int32_t multiplier, int shift,
                            int zero_y, int8_t *y)
{
    for (int c = 0; c < channels; c++) {
        int32_t sum = 0;
        for (int i = 0; i < pixels; i++)
            sum += x[i * channels + c] - zero_x;
        y[c] = requantize((int64_t)sum * multiplier, shift, zero_y, -128, 127);
    }
}
"""

BINARY = """\
static void {name}(const struct strides *s, const int8_t *x, int zero_a, const int8_t *other, int zero_b, {multipliers},
                int shift, int zero_y, int low, int high, int8_t *y)
{{
    for (int i = 0; i < s->sizes[0]; i++)
        for (int j = 0; j < s->sizes[1]; j++)
            for (int k = 0; k < s->sizes[2]; k++)
                for (int l = 0; l < s->sizes[3]; l++) {{
                    const int a = x[i * s->a[0] + j * s->a[1] + k * s->a[2] + l * s->a[3]] - zero_a;
                    const int b = other[i * s->b[0] + j * s->b[1] + k * s->b[2] + l * s->b[3]] - zero_b;
                    *y++ = requantize({formula}, shift, zero_y, low, high);
                }}
}}
"""
ADD = "/* y = a + b, both brought to the scale of y, times 2^shift */\n" + BINARY.format(
    name="add",
    multipliers="int32_t multiplier_a, int32_t multiplier_b",
    formula="(int64_t)a * multiplier_a + (int64_t)b * multiplier_b",
)
MULTIPLY = BINARY.format(name="multiply", multipliers="int32_t multiplier", formula="(int64_t)(a * b) * multiplier")

LOOK_UP = """\
/* y = table[x]: an elementwise function */
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
/* y = x, from elements with strides a to elements with strides b; table: x in the scale of y where it differs, or 0 */
static void copy(const struct strides *s, const int8_t *table, const int8_t *x, int8_t *y)
{
    for (int i = 0; i < s->sizes[0]; i++)
        for (int j = 0; j < s->sizes[1]; j++)
            for (int k = 0; k < s->sizes[2]; k++)
                for (int l = 0; l < s->sizes[3]; l++) {
                    const int8_t q = x[i * s->a[0] + j * s->a[1] + k * s->a[2] + l * s->a[3]];
                    y[i * s->b[0] + j * s->b[1] + k * s->b[2] + l * s->b[3]] = table ? table[q + 128] : q;
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
/* y = gamma * (x - mean) / sqrt(variance + eps) + beta, in float32, mean and variance of each row of x */
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
            y[d] = round_to_int8(gamma[d] * ((float)(x[d] - zero_x) - mean) * inv_std + beta[d], zero_y);
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
            *y++ = round_to_int8((float)(x[c] - zero_x) * unit / power, zero_y);
        }
}
"""

SOFTMAX = """\
/* y[k] = e^x[k] / the sum of all e^x, in float32; table[d]: e^-d for an x that is d below the maximum */
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
/* softmax of each row of x, rounded to int8 */
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
            y[k] = round_to_int8(table[largest - x[k]] / sum * unit, zero_y);
    }
}
"""

DEQUANTIZE = """\
/* y = scale * (x - zero) */
static void dequantize(int count, const int8_t *x, int zero, float scale, float *y)
{
    for (int i = 0; i < count; i++)
        y[i] = (float)(x[i] - zero) * scale;
}
"""

FUNCTIONS = {
    "window": WINDOW,
    "strides": STRIDES,
    "requantization": REQUANTIZATION,
    "requantize": REQUANTIZE,
    "round_to_int8": ROUND_TO_INT8,
    "look_up_pixels": LOOK_UP_PIXELS,
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
    "dequantize": DEQUANTIZE,
}
