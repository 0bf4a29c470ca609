namespace Grok1Cluster.Kernels.Formats;

/// <summary>Where a row of int8 activation blocks is.</summary>
/// <param name="Values">[PaddedLength] int8 in [-127, 127].</param>
/// <param name="Scales">[BlockCount] float32: value = int8 * scale.</param>
/// <param name="Sums">[BlockCount]: the sum of a block's int8 values.</param>
/// <param name="OutlierCounts">[BlockCount], at most <see cref="ActivationQuantizer.MaxOutliers"/> each.</param>
/// <param name="Outliers">[BlockCount, MaxOutliers]: of each block so many as it has, by position.</param>
public readonly unsafe struct QuantizedRow(sbyte* Values, float* Scales, int* Sums, byte* OutlierCounts, Outlier* Outliers)
{
    public readonly sbyte* Values = Values;
    public readonly float* Scales = Scales;
    public readonly int* Sums = Sums;
    public readonly byte* OutlierCounts = OutlierCounts;
    public readonly Outlier* Outliers = Outliers;
}
